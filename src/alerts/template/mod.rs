//! Texts with holes, such as `{{ .ID }} is {{ .Level }}`: Go's `text/template`, as far as alerts use
//! it, and printed as Go prints.
//!
//! [`Template::parse`] refuses what can never be rendered, with its place. What only the data can
//! show, such as a float that is compared with an int, is an [`Error`]: it costs the one alert, not
//! the task. Rendering is bounded, whatever the template says.
//!
//! Not here: `define`, `template` and `block`, because a template is one piece; `call`; complex
//! numbers.

mod clock;
mod data;
mod escape;
mod float;
mod functions;
mod layout;
mod lexer;
mod parser;
mod print;
mod quote;
mod run;
mod tree;
mod value;

pub use data::{Alert, Data, Server};

use super::script::Place;
use run::Run;
use std::fmt;
use std::sync::Arc;
use tree::Node;

/// A template that is ready to be rendered. A clone shares it.
#[derive(Clone)]
pub struct Template {
    text: Arc<str>,
    nodes: Arc<[Node]>,
}

/// What is wrong with a template, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What; lower case, without a full stop.
    pub what: String,
}

/// Why a template could not be rendered with this data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where in the template.
    pub place: Place,
    /// What happened; lower case, without a full stop.
    pub what: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// Fails if it can never be rendered.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        Ok(Template { text: text.into(), nodes: parser::parse(text)?.into() })
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it always is, if it has no actions.
    #[must_use]
    pub fn constant(&self) -> Option<&str> {
        match &*self.nodes {
            [] => Some(""),
            [Node::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Adds what it says of some data to a text, which stays as it is if that fails.
    ///
    /// # Errors
    ///
    /// Fails if this data does not go with it.
    pub fn render(&self, data: &Data<'_>, out: &mut String) -> Result<(), Error> {
        self.render_as(data, false, out)
    }

    /// The same, where all that is put into the text is escaped for HTML: the details of an alert.
    ///
    /// # Errors
    ///
    /// Fails if this data does not go with it.
    pub fn render_html(&self, data: &Data<'_>, out: &mut String) -> Result<(), Error> {
        self.render_as(data, true, out)
    }

    fn render_as(&self, data: &Data<'_>, is_html: bool, out: &mut String) -> Result<(), Error> {
        let begin = out.len();
        let result = Run::new(data, is_html, out).all(&self.nodes);
        if result.is_err() {
            out.truncate(begin);
        }
        result
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.text)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in the template, {}: {}", self.place, self.what)
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in the template, {}: {}", self.place, self.what)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
