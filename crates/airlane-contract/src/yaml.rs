//! YAML into a tree that knows its lines.
//!
//! The parser gives events and expands nothing; the tree is built here, within bounds. Aliases are refused: without them
//! a tree, and whatever is made of it, is no larger than its document, and a contract is meant to be read by people.

use std::collections::HashSet;

pub(crate) use airlane_model::error::shorten;
use airlane_model::{ByteSize, Error, Result, codes};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

/// A document is at most this long.
pub(crate) const DOCUMENT_BYTES_MAX: ByteSize = ByteSize::mib(1);
/// Levels of lists and mappings.
const DEPTH_MAX: usize = 128;

/// A node of a document and where it begins, line and column counted from 1.
#[derive(Debug)]
pub(crate) struct Node {
    kind: Kind,
    line: usize,
    column: usize,
}

#[derive(Debug)]
enum Kind {
    Scalar { text: String, is_plain: bool },
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Reads one document.
///
/// # Errors
/// `contract_invalid` with line and column.
pub(crate) fn read(text: &str) -> Result<Node> {
    if text.len() > DOCUMENT_BYTES_MAX.as_usize() {
        let length = ByteSize::bytes(text.len() as u64);
        return Err(Error::new(
            codes::CONTRACT_INVALID,
            format!("a contract of {length} is longer than {DOCUMENT_BYTES_MAX}"),
        ));
    }
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            wrong(error.marker().line(), error.marker().col() + 1, format!("this is no YAML: {}", error.info()))
        })?;
        if matches!(event, Event::StreamEnd) {
            break;
        }
        builder.take(event, span.start)?;
    }
    builder.root.ok_or_else(|| wrong(1, 1, "the document is empty".to_owned()))
}

fn wrong(line: usize, column: usize, message: String) -> Error {
    Error::new(codes::CONTRACT_INVALID, message).at(format!("line {line}, column {column}"))
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
}

/// A list or mapping that has not ended.
struct Open {
    line: usize,
    column: usize,
    /// For a mapping, the key whose value comes next, and the keys so far.
    key: Option<String>,
    keys: HashSet<String>,
    kind: Kind,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Marker) -> Result<()> {
        let (line, column) = (at.line(), at.col() + 1);
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(wrong(line, column, "a second document begins".to_owned())
                    .hint("a contract is one YAML document: keep each in a file of its own"))
            }
            Event::SequenceStart(_, _) => self.open(Kind::List(Vec::new()), line, column),
            Event::MappingStart(_, _) => self.open(Kind::Map(Vec::new()), line, column),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                None => Ok(()),
                Some(Open { line, column, kind, .. }) => self.add(Node { kind, line, column }),
            },
            Event::Scalar(text, style, _, tag) => {
                // `!!str 5` is a text; other tags change nothing that a contract holds.
                let is_text = tag.is_some_and(|tag| tag.suffix == "str");
                let is_plain = style == ScalarStyle::Plain && !is_text;
                self.add(Node { kind: Kind::Scalar { text: text.into_owned(), is_plain }, line, column })
            }
            Event::Alias(_) => {
                let error = wrong(line, column, "aliases (`*name`) are not taken".to_owned());
                Err(error.hint("write out what the alias stands for"))
            }
            Event::DocumentStart(_) | Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => {
                Ok(())
            }
        }
    }

    fn open(&mut self, kind: Kind, line: usize, column: usize) -> Result<()> {
        if self.open.len() >= DEPTH_MAX {
            return Err(wrong(line, column, format!("the document is nested deeper than {DEPTH_MAX} levels")));
        }
        self.open.push(Open { line, column, key: None, keys: HashSet::new(), kind });
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<()> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => match open.key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let Kind::Scalar { text, .. } = &node.kind else {
                        return Err(node.wrong("a key is no text"));
                    };
                    if !open.keys.insert(text.clone()) {
                        return Err(node.wrong(format!("the key `{}` appears twice", shorten(text))));
                    }
                    open.key = Some(text.clone());
                }
            },
            Kind::Scalar { .. } => {}
        }
        Ok(())
    }
}

impl Node {
    /// An error of this node.
    pub(crate) fn wrong(&self, message: impl Into<String>) -> Error {
        wrong(self.line, self.column, message.into())
    }

    /// Whether the node is absent in all but name: `null`, `~` or nothing.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, is_plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The value of a key of a mapping, `None` where it is absent or null.
    ///
    /// # Errors
    /// Where this node is no mapping.
    pub(crate) fn get(&self, key: &str) -> Result<Option<&Node>> {
        let found = self.entries()?.iter().find(|(name, _)| name == key);
        Ok(found.map(|(_, node)| node).filter(|node| !node.is_null()))
    }

    /// The entries of a mapping.
    ///
    /// # Errors
    /// Where this node is no mapping, or one with a merge key, which YAML 1.2 no longer has.
    pub(crate) fn entries(&self) -> Result<&[(String, Node)]> {
        let Kind::Map(entries) = &self.kind else {
            return Err(self.wrong(format!("expected a mapping, found {}", self.kind_name())));
        };
        if let Some((_, merged)) = entries.iter().find(|(key, _)| key == "<<") {
            return Err(merged.wrong("merge keys (`<<`) are not understood").hint("write the keys out"));
        }
        Ok(entries)
    }

    /// The items of a list.
    ///
    /// # Errors
    /// Where this node is no list.
    pub(crate) fn items(&self) -> Result<&[Node]> {
        match &self.kind {
            Kind::List(items) => Ok(items),
            _ => Err(self.wrong(format!("expected a list, found {}", self.kind_name()))),
        }
    }

    /// The text of a scalar as it is written, quotes taken off.
    ///
    /// # Errors
    /// Where this node is no scalar.
    pub(crate) fn text(&self) -> Result<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Ok(text),
            _ => Err(self.wrong(format!("expected a single value, found {}", self.kind_name()))),
        }
    }

    /// Whether the node is a mapping.
    pub(crate) fn is_map(&self) -> bool {
        matches!(self.kind, Kind::Map(_))
    }

    /// # Errors
    /// Where this node is neither `true` nor `false`.
    pub(crate) fn flag(&self) -> Result<bool> {
        match self.text()? {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            other => Err(self.wrong(format!("`{}` is neither true nor false", shorten(other)))),
        }
    }

    /// # Errors
    /// Where this node is no whole number from 0 on.
    pub(crate) fn count(&self) -> Result<u64> {
        let text = self.text()?;
        text.parse().map_err(|_| self.wrong(format!("`{}` is no whole number from 0 on", shorten(text))))
    }

    /// # Errors
    /// Where this node is no finite number.
    pub(crate) fn number(&self) -> Result<f64> {
        let text = self.text()?;
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| self.wrong(format!("`{}` is no number", shorten(text))))
    }

    fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

#[cfg(test)]
mod tests;
