"""What a page of HTML shows."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = ("meta", "br", "link", "img", "input", "hr")
"""Tags that nothing closes."""


class Page(HTMLParser):
    """Collects the tags, attributes, text and ids of a page, and checks that tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self._open = set(), [], [], []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        """Note a tag and that it is open."""
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        """Check that the tag that was opened last is closed."""
        assert self._open.pop() == tag

    def handle_data(self, data):
        """Note text."""
        self.texts.append(data)

    def values(self, *names):
        """The values of all attributes of these names."""
        return [value for name, value in self.attributes if name in names]

    @property
    def text(self):
        """All text on one line."""
        return " ".join(" ".join(self.texts).split())
