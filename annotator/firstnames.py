"""First names that are given to one gender alone: common in France, and in the news of its neighbours and partners.

Written for this project from general knowledge. Names given to both (Camille, Claude, Dominique, Andrea, Sacha …) are
left out; where languages differ, French use counts (Jean is a man).
"""

from __future__ import annotations

from typing import Literal

_WOMEN = """
adeline adriana adèle agathe agnès alexandra alexia alice alicia aline amandine amina aminata amélie ana anastasia
andrée angela angèle angélique anita anna annabelle anne annette annie antoinette apolline ariane arlette armelle
astrid audrey aurore aurélie awa axelle aïcha aïssata barbara bernadette berthe blanche brigitte béatrice bénédicte
bérengère capucine carine carla carmen carole caroline catherine chantal charlotte chiara chloé christelle christiane
christina christine claire clara clarisse claudine clotilde clémence clémentine colette coralie corinne cristina
cyrielle cécile céline danièle daphné delphine denise diana diane dina doris dorothée déborah edwige elena elham elina
elisabeth elsa elvire emma emmanuelle ernestine estelle esther eugénie eva eve fabienne fanny fatiha fatima fatou
fatoumata faustine federica fernande flora florence francine françoise frédérique gabrielle garance gaëlle geneviève
georgette germaine ghislaine gilberte ginette giorgia gisèle giulia gloria greta gwenaëlle géraldine hadja hanna
hannah heidi helga henriette hillary honorine hortense houria huguette héloïse hélène ibtissam ilaria ingrid inès
irina iris irène isabel isabelle ivanka jacqueline jana jeanne jeannine jennifer jessica johanna josette josiane josée
joëlle judith julia julie juliette justine kadiatou kamala karen karima karine karolina kateryna katharina katia katie
khadidja khadija kristalina laetitia lara laura laure laurence leila leïla linda lisa lise liz loreleï louise luce
lucette lucia lucie lucienne ludivine ludmila lydia lydie léa léna léonie madeleine magali magalie maguy malika manon
manuela marcelle margaret margarita margaux margot marguerite maria mariam mariama marianne marie marielle marilyne
marina marine marion marisa marisol marjorie marlène marta marthe martine maryam maryse mathilde maud maureen maya
maïa maïmouna melania mia micheline michèle mireille monica monique murielle myriam mégane mélanie mélissa nadia
nadine nadège nancy naomi natacha natalia natalie nathalie nawal ngozi nicole nina ninon nora noémie odette odile olga
olivia ophélie oriane orlane ornella oumou paméla pascaline patricia paula paule paulette pauline peggy perrine
pierrette priscilla pénélope pétra rachel rachida ramata raymonde rebecca renée rita roberta rokhaya rokia romane rosa
rosalie rose roselyne roxane régine sabine sabrina safia salima salomé samia sandra sandrine sara sarah sibeth sibylle
sigrid silvia simone sofia solange solène sonia sophie stella stéphanie suzanne svetlana sylvie séverine tamara tania
tatiana teresa thérèse tiphaine ursula valentina valentine valérie vanessa victoria violaine violette virginie
véronique yasmina yasmine yolande ysaline yulia yvette yvonne zahra zeina zineb zohra zoé ève édith éliane élisa
élisabeth élise élodie éloïse éléonore émeline émilie
"""
_MEN = """
abdallah abdel abdelaziz abdelhamid abdelkader abdelmadjid abdou abdoulaye abel achille adam adama adel adolphe adrien
aimé alain albert alberto aldo alejandro alessandro alexander alexandre alexeï alexis alfred ali alioune alphonse
amadou anatole andreas andrew andreï andré anselme anthony antoine antonin antonio arkadi armand arnaud arsène arthur
assimi auguste augustin aurélien bachar baptiste barack barthélemy bartolomé basile bassirou bastien benito benjamin
benoît benyamin bernard bertrand bill blaise boris bouba boubacar brahim brice bruno bryan carlo carlos charles
christian christophe clotaire clément colin constantin corentin cyprien cyril cyrille cédric césar damien daniel dave
david denis didier diego dimitri dmitri dmitry donald dylan désiré edgar edmond edouard eduardo elon emile emilio
emmanuel emmerson enrique enzo eric erik ernest etienne eugène evgueni fabien fabio fabrice fadi faisal farid
ferdinand fernand fernando fiodor florent florentin florian francesco francis francisco franck francky frank françois
frédéric frédérik félix gary gaspard gaston gauthier gautier gaël gaëtan georges germain ghislain gianni gilbert
gilles giorgio giovanni giuseppe grégoire grégory guillaume gustave guy gérald gérard gérémie habib hakim hamid hamza
hans harold harry hassan hassen hector henri henrik henry hervé hippolyte hocine honoré hubert hugo hugues hussein iba
ibrahim idriss igor ilham ismail ismaël issa issouf ivan ivo jack jacob jacques jakob jamal james jan jared javier
jawad jay jean jeff jens jerome jerry jim joachim joe johann john johnny jonas jonathan jordan jordi jorge josep
joseph joshua josip josé joël juan jules julian julien julio justin jérémie jérémy jérôme kamel karim karl kassym kaïs
keir kevin khaled kofi kossi kévin laurent lazare lionel lothaire louis loïc luc luca lucas lucien ludovic luigi luis
lukas léandre léo léon léonard léopold macky mahamadou mahamat mahmoud malik malo mamadou manuel marc marcel marcello
marco marcos marcus mariano mario marius mark martial martin marvin massimo matei mateusz mathias mathieu mathis
matteo matthew matthias matthieu maurice max maxence maxime mehdi michael michaël michel miguel mike mikhaïl milan
miloš mohamad mohamed mohammad mohammed mouloud moussa moïse mustafa mustapha nabil narendra nathan nicolas nicolás
nikola nikolaï norbert noël octave odilon olaf oleg olivier omar oscar oskar ousmane owen pablo paolo pascal patrice
patrick paul paulo pavel pavlo pedro peter philip philippe pierre pierrick piotr quentin rachid rafael ralph raoul
raphaël raymond recep renaud rené ricardo richard rishi robert roberto rodolphe rodrigo rodrigue roger roland rolf
romain roman ronald rudi rudy réda régis rémi rémy salah salim salvador salvatore sam sami samir samuel santiago saïd
sepp serge sergeï sergio sergueï sidi silvio simon slimane sofiane souleymane stanislas stefan stefano steve steven
stéphane sylvain sébastien séverin tanguy tarek teddy thibault thibaut thierry thomas théo théodore théodule tim
timothy timothée tobias tom tony tristan tudual ulrich ulysse valentin valentino vasco victor viktor vincent vladimir
volodymyr walid walter wassim werner wilfried william willy wladimir xavier xi yacine yanis yann yannick yassine yohan
yohann youri youssef yves yvon zacharie zoran édouard élie émile éric étienne
"""
FIRST_NAMES: dict[str, Literal["m", "f"]] = {
    **dict.fromkeys(_WOMEN.split(), "f"),
    **dict.fromkeys(_MEN.split(), "m"),
}
