//! Listening sockets on their way from one configuration to the next: clients that connect
//! meanwhile wait in them, so that nobody is refused.

use crate::config;
use crate::system::http::{Listener, bind};
use log::info;

/// Sockets that are bound and not in use, each with the settings that asked for it.
#[derive(Debug, Default)]
pub struct Sockets(Vec<(config::Http, Listener)>);

impl Sockets {
    /// Binds what `wanted` needs, as far as that is possible while `former` still listens.
    ///
    /// # Errors
    ///
    /// Says which address cannot be had, and why.
    pub fn ahead(wanted: &[config::Http], former: &[config::Http]) -> Result<Self, String> {
        let mut sockets = Sockets::default();
        for wanted in wanted {
            let is_taken =
                |former: &config::Http| is_same(former, wanted) || excludes(former, wanted);
            if !former.iter().any(is_taken) {
                sockets.put(wanted, bound(wanted)?);
            }
        }
        Ok(sockets)
    }

    /// Adds the sockets of the former configuration, except those that keep `wanted` from its
    /// addresses: these are closed.
    pub fn take_over(&mut self, former: Sockets, wanted: &[config::Http]) {
        let is_in_the_way =
            |former: &config::Http| wanted.iter().any(|wanted| excludes(former, wanted));
        self.0.extend(former.0.into_iter().filter(|(former, _)| !is_in_the_way(former)));
    }

    /// The socket for `wanted`: one of these, or else a new one.
    pub(super) fn take(&mut self, wanted: &config::Http) -> Result<Listener, String> {
        match self.0.iter().position(|(known, _)| is_same(known, wanted)) {
            Some(at) => Ok(self.0.swap_remove(at).1),
            None => bound(wanted),
        }
    }

    pub(super) fn put(&mut self, settings: &config::Http, socket: Listener) {
        self.0.push((settings.clone(), socket));
    }
}

fn is_same(one: &config::Http, other: &config::Http) -> bool {
    (one.bind, one.port) == (other.bind, other.port)
}

/// Whether two different listeners cannot be bound at the same time: "all addresses" and one of
/// them exclude each other.
fn excludes(one: &config::Http, other: &config::Http) -> bool {
    one.port == other.port
        && one.bind != other.bind
        && (one.bind.is_unspecified() || other.bind.is_unspecified())
}

fn bound(settings: &config::Http) -> Result<Listener, String> {
    let listener = bind(settings.bind, settings.port).map_err(|error| {
        format!("http: cannot listen on {} port {}: {error}", settings.bind, settings.port)
    })?;
    info!("http: listening on {}", listener.address());
    Ok(listener)
}
