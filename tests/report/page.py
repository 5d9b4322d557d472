"""A page, read as a browser would read it: tags that nest, texts, cells, identifiers."""

import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """Checks that tags nest, and collects what a browser would load or show."""

    VOID = frozenset({"meta", "br", "wbr", "link", "img", "input", "hr"})

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text, self.cells = [], [], [], []
        self.section, self.style, self.script, self.data = None, "", "", ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.text.append(" " if tag != "wbr" else "")
        if tag == "section":
            self.section = attrs.get("id")
        if tag in ("td", "th"):
            self.cells.append([self.section, tag, attrs, ""])
        elif tag in ("br", "small") and self.cells:
            self.cells[-1][3] += " "
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data
        elif self.open and self.open[-1] == "script":
            if ("type", "application/json") in self.tags[-1][1].items():
                self.data += data
            else:
                self.script += data
        elif self.open:
            self.text.append(data)
            if "td" in self.open or "th" in self.open:
                self.cells[-1][3] += data

    @property
    def words(self):
        return re.sub(r"\s+", " ", "".join(self.text))

    def named(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def numbers(self, section):
        """Every number in the cells of a section, as it is written."""
        texts = [text for where, tag, _, text in self.cells if where == section and tag == "td"]
        return {n for text in texts for n in re.findall(r"[+−]?\d[\d,]*(?:\.\d+)?", text)}
