"""Reads the pages that the package writes, to compare what they show."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Content of an HTML page.

    Attributes:
        tags: Name and attributes of each element, in their order.
        tables: Rows of the body and of the footer of the tables, by the heading before each.
        facts: Text of each `dd` after a `dt`, by the text of the `dt`.
        notes: Text of the elements of each class.
        text: Text of the page without style and script.
    """

    def __init__(self, file):
        super().__init__()
        self.source = file.read_text(encoding="utf-8")
        self.tags, self.tables, self.facts, self.notes, self.text = [], {}, {}, {}, ""
        self._heading, self._row, self._open, self._term = "", None, [], None
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in ("meta", "image", "use", "rect", "line", "path", "input", "circle"):
            self._open.append((tag, attributes, []))
        if tag == "tr":
            self._row = []

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if not any(tag in ("style", "script") for tag, *_ in self._open):
            self.text += data
            for *_, texts in self._open:
                texts.append(data)

    def handle_endtag(self, tag):
        while self._open:
            name, attributes, texts = self._open.pop()
            text = "".join(texts).strip()
            if attributes.get("class"):
                self.notes.setdefault(attributes["class"], []).append(text)
            if name in ("h1", "h2"):
                self._heading = text
            elif name in ("td", "th") and self._row is not None:
                self._row.append(text)
            elif name == "tr":
                self.tables.setdefault(self._heading, []).append(self._row)
            elif name == "dt":
                self._term = text
            elif name == "dd":
                self.facts.setdefault(self._term, text)
            if name == tag:
                return

    def attributes(self, tag, name):
        """Return the values of an attribute of the elements of a kind."""
        return [attributes[name] for found, attributes in self.tags if found == tag and name in attributes]
