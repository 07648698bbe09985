# SPDX-License-Identifier: MIT
"""A JUnit file, as CI systems show it: what was seen, and what was not."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(path: Path, suite: str, plan: list[str], seen: list[float], failure: str | None,
          output: str) -> None:
    """A test case for each step of the plan, the same in each run: those that were seen, with their
    seconds, and with a failure the next, behind which the others were not come to."""
    left = len(plan) - len(seen)
    root = ElementTree.Element(
        "testsuite", name=suite, tests=str(len(plan)), failures=str(min(left, 1)), errors="0",
        skipped=str(max(left - 1, 0)), time=f"{sum(seen):.1f}")
    for number, name in enumerate(plan):
        seconds = seen[number] if number < len(seen) else 0
        case = ElementTree.SubElement(root, "testcase", classname=suite, name=NOT_XML.sub("?", name),
                                      time=f"{seconds:.1f}")
        if number == len(seen):
            text = NOT_XML.sub("?", failure or "")
            ElementTree.SubElement(case, "failure", message=text.partition("\n")[0]).text = text
        elif number > len(seen):
            ElementTree.SubElement(case, "skipped", message="not come to")
    ElementTree.SubElement(root, "system-out").text = NOT_XML.sub("?", output)
    text = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    try:
        path.write_bytes(text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
