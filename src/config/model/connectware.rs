//! Services of Connectware, as people see them: their resources, and what becomes of them. What is
//! done is in the brokers of the model and their rules.

use std::fmt;

/// A service that a commissioning file describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commissioned {
    /// Its id: `valve4`.
    pub id: String,
    /// The name of its file.
    pub file: String,
    /// In the order of the file; none if the service is switched off.
    pub resources: Vec<Resource>,
}

impl Commissioned {
    /// Whether nothing of it is to work.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.resources.iter().all(|it| !it.is_wanted)
    }
}

/// A resource of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its id: `valve4-flow`.
    pub id: String,
    /// What it is.
    pub kind: ResourceKind,
    /// Whether the file wants it to work.
    pub is_wanted: bool,
    /// Why it cannot work, whatever the brokers say; empty if it can.
    pub trouble: String,
    /// The names of the brokers that it reads from.
    pub reads: Vec<String>,
    /// The names of the brokers that it publishes to.
    pub writes: Vec<String>,
    /// What it does, in words: where from, where to.
    pub routes: Vec<String>,
}

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// `Cybus::Connection`.
    Connection,
    /// `Cybus::Endpoint`.
    Endpoint,
    /// `Cybus::Mapping`.
    Mapping,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResourceKind::Connection => "connection",
            ResourceKind::Endpoint => "endpoint",
            ResourceKind::Mapping => "mapping",
        })
    }
}
