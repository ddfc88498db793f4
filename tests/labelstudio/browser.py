"""A headless Chromium that does what an annotator does."""

from __future__ import annotations

from chromium import browser, find_browser
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

__all__ = ["browser", "find_browser"]  # beside what is here

PATIENCE = 30

_REGIONS = """
const regions = {};
for (const node of document.querySelectorAll('[class*=htx-highlight]')) {
  for (const name of node.classList) {
    const match = name.match(/^htx-highlight-(.+)-\\d+$/);
    if (!match) continue;
    const outer = node.parentElement.closest('.' + CSS.escape(name));
    if (outer) continue;
    const id = match[1];
    const found = regions[id] || {text: '', colour: getComputedStyle(node).backgroundColor};
    found.text += node.textContent;
    regions[id] = found;
  }
}
return regions;
"""


def log_in(driver, url, email, password):
    driver.get(f"{url}/user/login/")
    driver.find_element(By.NAME, "email").send_keys(email)
    driver.find_element(By.NAME, "password").send_keys(password + Keys.RETURN)
    WebDriverWait(driver, PATIENCE).until(lambda d: "/login" not in d.current_url)


def open_task(driver, url, project, task):
    driver.get(f"{url}/projects/{project}/data?task={task}")
    WebDriverWait(driver, PATIENCE).until(lambda d: d.find_elements(By.CSS_SELECTOR, "[class*=htx-highlight]"))
    close_instructions(driver)


def close_instructions(driver):
    for button in driver.find_elements(By.CSS_SELECTOR, ".ant-modal-close, [class*=modal] [class*=close]"):
        if button.is_displayed():
            button.click()


def regions(driver):
    """Return what is highlighted: region id to its text and colour."""
    return driver.execute_script(_REGIONS)


def select_region(driver, region):
    """Click the region in the text."""
    found = driver.find_elements(By.CSS_SELECTOR, f"[class*='htx-highlight-{region}-']")
    found[-1].click()
    WebDriverWait(driver, PATIENCE).until(
        lambda d: any(region in e.text.replace("\n", "") for e in d.find_elements(By.CSS_SELECTOR, "[class*=detail]"))
    )


def press(driver, key):
    driver.find_element(By.TAG_NAME, "body").send_keys(key)


def choose(driver, words):
    """Tick a choice of the selected region."""

    def choice(d):
        found = d.find_elements(By.XPATH, f"//*[normalize-space(text())='{words}' or normalize-space(.)='{words}']")
        return next((e for e in found if e.is_displayed()), None)

    WebDriverWait(driver, PATIENCE).until(choice).click()


def submit(driver):
    def button(d):
        found = d.find_elements(By.XPATH, "//button[normalize-space(.)='Submit' or normalize-space(.)='Update']")
        return next((b for b in found if b.is_displayed() and b.is_enabled()), None)

    WebDriverWait(driver, PATIENCE).until(button).click()
