//! Connectware's dialect: service commissioning files, and `[[connectware]]` in our own file.
//!
//! A switch of the crate: a build knows Connectware's words (`enabled`), or it has words about how
//! to get one that does (`disabled`). Both files say the same names.

#[cfg(feature = "connectware")]
mod enabled;
#[cfg(feature = "connectware")]
pub(super) use enabled::own;
#[cfg(feature = "connectware")]
pub use enabled::part;

#[cfg(not(feature = "connectware"))]
mod disabled;
#[cfg(not(feature = "connectware"))]
pub(super) use disabled::own;
#[cfg(not(feature = "connectware"))]
pub use disabled::part;

use super::ilagent::Asked;
use crate::config::document::Value;
use crate::config::document::fields::Fields;
use crate::config::values;
use crate::config::{Address, Broker, Faults, Place};

/// The internal broker, if no other is named: that of the box.
const INTERNAL: &str = "mqtt://127.0.0.1:1883";

/// A service file, and what is said of it outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The name of the file.
    pub file: String,
    /// Where it is named.
    pub place: Place,
    /// The id of the service, if its name is not to make one.
    pub id: Option<(String, Place)>,
    /// Values of parameters.
    pub values: Vec<Given>,
    /// The file of more values, a JSON object.
    pub values_file: Option<(String, Place)>,
    /// Values for parameters that it does not have are for another service.
    pub values_are_shared: bool,
    /// Whether it is used. One that is switched off is not read.
    pub is_enabled: bool,
    /// Where its state is published at the internal broker.
    pub status_topic: Option<String>,
    /// How the internal broker is reached; its name, ids and rules are the service's.
    pub internal: Broker,
    /// Whether that broker forgets us when we are gone.
    pub internal_clean: bool,
    /// What is not supported is left out with a warning.
    pub skip_unsupported: bool,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The name of the parameter.
    pub name: String,
    /// Its value; a text that came without a type is read by that of the parameter.
    pub value: Value,
    /// Whether it came without a type, from a command line or the environment.
    pub is_bare: bool,
    /// Where it is given.
    pub place: Place,
}

/// The internal broker that a URL means.
///
/// # Errors
///
/// Says in words why there can be none.
pub(super) fn internal(url: &str) -> Result<Broker, String> {
    values::address(url).map(Broker::at)
}

/// The services that a command line asks for; the text of a URL or value is checked here.
#[must_use]
pub fn asked_for(asked: &Asked) -> (Vec<Wanted>, Faults) {
    let (flags, mut faults) = (&asked.flags, Faults::default());
    let values = flags.parameter.iter().filter_map(|text| {
        let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
        let Some((name, value)) = pair else {
            // The text may be a password.
            faults.add("--parameter", "this is not of the form NAME=VALUE");
            return None;
        };
        let value = Value::Text(value.to_owned());
        Some(Given { name: name.to_owned(), value, is_bare: true, place: "--parameter".into() })
    });
    let values: Vec<_> = values.collect();
    let url = flags.internal_broker.as_deref().unwrap_or(INTERNAL);
    let internal = internal(url).unwrap_or_else(|why| {
        faults.add("--internal_broker", why);
        Broker::at(Address::default())
    });
    if flags.service_id.is_some() && flags.connectware.len() > 1 {
        faults.add("--service_id", "this is for one --connectware; several have several ids");
    }
    let wanted = |file: &String| Wanted {
        file: file.clone(),
        place: "--connectware".into(),
        id: flags.service_id.clone().map(|id| (id, "--service_id".into())),
        values: values.clone(),
        values_file: flags.parameters_file.clone().map(|it| (it, "--parameters_file".into())),
        values_are_shared: flags.connectware.len() > 1,
        is_enabled: true,
        status_topic: None,
        internal: internal.clone(),
        internal_clean: false,
        skip_unsupported: flags.skip_unsupported,
    };
    (flags.connectware.iter().map(wanted).collect(), faults)
}

/// How the table of a broker is read.
type ReadBroker<'r> = &'r dyn Fn(&Fields<'_>) -> Broker;
