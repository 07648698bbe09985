# SPDX-License-Identifier: MIT
"""A JUnit file, as CI systems show it: what was seen, and what was not."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(path: Path, suite: str, seen: list[tuple[str, float]], failures: list[str],
          output: str) -> None:
    """A test case for each thing that was seen, with its seconds, and for each that failed."""
    root = ElementTree.Element(
        "testsuite", name=suite, tests=str(len(seen) + len(failures)),
        failures=str(len(failures)), errors="0", skipped="0",
        time=f"{sum(seconds for _, seconds in seen):.1f}")

    def case(name: str, seconds: float) -> ElementTree.Element:
        return ElementTree.SubElement(
            root, "testcase", classname=suite, name=NOT_XML.sub("?", name), time=f"{seconds:.1f}")

    for what, seconds in seen:
        case(what, seconds)
    for text in failures:
        failure = case(text.partition("\n")[0], 0)
        ElementTree.SubElement(failure, "failure", message=failure.get("name")).text = \
            NOT_XML.sub("?", text)
    ElementTree.SubElement(root, "system-out").text = NOT_XML.sub("?", output)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
