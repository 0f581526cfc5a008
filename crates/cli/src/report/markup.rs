//! HTML and SVG that are escaped by construction: a string is text, and only an element is markup.

use std::fmt::{Display, Write};

use crate::text::clean;

/// Elements without an end tag: those of HTML, and those of SVG, which close themselves.
const VOID_HTML: [&str; 3] = ["meta", "link", "wbr"];
const VOID_SVG: [&str; 4] = ["line", "rect", "circle", "path"];

/// An element with its attributes and its content.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    tag: &'static str,
    attributes: String,
    inside: String,
}

/// Returns an element without attributes and content.
pub(crate) fn element(tag: &'static str) -> Element {
    Element { tag, attributes: String::new(), inside: String::new() }
}

impl Element {
    /// Adds an attribute.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Display) -> Self {
        let _ = write!(self.attributes, " {name}=\"{}\"", escape(&value.to_string()));
        self
    }

    /// Adds an attribute if there is a value for it.
    #[must_use]
    pub(crate) fn with_some(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds an attribute that has no value.
    #[must_use]
    pub(crate) fn flag(mut self, name: &str) -> Self {
        let _ = write!(self.attributes, " {name}");
        self
    }

    /// Adds text.
    #[must_use]
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.inside.push_str(&escape(text));
        self
    }

    /// Adds elements.
    #[must_use]
    pub(crate) fn children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        for child in children {
            child.write(&mut self.inside);
        }
        self
    }

    /// Adds an element.
    #[must_use]
    pub(crate) fn child(self, child: Element) -> Self {
        self.children([child])
    }

    /// Adds a style sheet or a script of this program, which is not escaped.
    #[must_use]
    pub(crate) fn source(mut self, source: &'static str) -> Self {
        self.inside.push_str(source);
        self
    }

    /// Returns the element as it stands in a document.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        let Self { tag, attributes, inside } = self;
        let _ = if inside.is_empty() && VOID_HTML.contains(tag) {
            write!(out, "<{tag}{attributes}>")
        } else if inside.is_empty() && VOID_SVG.contains(tag) {
            write!(out, "<{tag}{attributes}/>")
        } else {
            write!(out, "<{tag}{attributes}>{inside}</{tag}>")
        };
    }
}

/// Text as it may stand in a document. A document must not contain control characters, so they are
/// made visible; line breaks and tabs stay.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            '\n' | '\t' => escaped.push(character),
            _ => escaped.push(clean::character(character)),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_markup_is_not() {
        let made = element("p")
            .with("title", "a\"b")
            .flag("hidden")
            .with_some("id", None::<&str>)
            .text("<&>")
            .child(element("b").text("x"))
            .text("\0")
            .child(element("i"));
        assert_eq!(
            made.render(),
            "<p title=\"a&quot;b\" hidden>&lt;&amp;&gt;<b>x</b>\u{FFFD}<i></i></p>"
        );
    }

    #[test]
    fn void_elements_have_no_end_tag() {
        assert_eq!(element("wbr").render(), "<wbr>");
        assert_eq!(element("line").with("x1", 2).render(), "<line x1=\"2\"/>");
    }
}
