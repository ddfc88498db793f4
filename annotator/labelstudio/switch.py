"""Which model version's predictions a project shows: put another in use, with nothing sent anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotator.errors import InputError
from annotator.labelstudio.client import Server, ServerError, writing
from annotator.labelstudio.index import read_index


def lacking(server: Server, project: Mapping[str, Any], version: str) -> int:
    """Return how many open tasks (pushed by annotator, nobody has worked on them) have no prediction of ``version``."""
    states = read_index(server, int(project["id"]))
    return sum(s.key is not None and not s.worked_on and version not in s.versions for s in states)


def switch(server: Server, project: Mapping[str, Any], version: str) -> bool:
    """Let the project show the predictions of ``version``; say whether it showed others before.

    Raises:
        InputError: open tasks have no prediction of this version: they would show nothing.
        ServerError: the server failed, or did not take the version.
    """
    if without := lacking(server, project, version):
        raise InputError(
            f"project {project.get('title')!r}: {without} open tasks have no prediction of {version}: "
            "score their pages with it and push them"
        )
    key = int(project["id"])
    if server.get(f"api/projects/{key}/").get("model_version") == version:
        return False
    use_version(server, key, version)
    return True


def use_version(server: Server, project: int, version: str) -> None:
    """Set the project's model version, without a look at its predictions.

    Raises:
        ServerError: the server failed, or did not take it.
    """

    def look() -> bool | None:
        return True if server.get(f"api/projects/{project}/").get("model_version") == version else None

    writing(lambda: server.write("PATCH", f"api/projects/{project}/", {"model_version": version}), look)
    if not look():
        raise ServerError(f"{server.url}: the project did not take model version {version}: run it again")
