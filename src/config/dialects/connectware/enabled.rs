//! Connectware's words.
//!
//! A service file is read from the outside in: its values (`parameters`), what names stand for
//! (`names`), then its resources, connections first, as endpoints and mappings name them. What it
//! becomes is put together in `assembly`: each connection is a broker, the internal broker is one
//! more, and every route is a rule of the broker that it comes from.

mod assembly;
mod connection;
mod endpoint;
mod mapping;
mod names;
mod own;
mod parameters;
mod read;
mod resource;
mod rules;
mod schema;
mod service;
mod topics;

pub(crate) use own::own;

use super::Wanted;
use crate::config::Surroundings;
use crate::config::whole::Part;

/// What service files say of the model, with every fault in them.
#[must_use]
pub fn part(wanted: &[Wanted], around: &Surroundings<'_>) -> Part {
    let (mut part, mut taken) = (Part::default(), Vec::new());
    for one in wanted {
        part.join(service::read(one, around, &mut taken));
    }
    // A value on the command line is for each service that has the parameter.
    let shared = wanted.iter().find(|it| it.values_are_shared).map_or(&[][..], |it| &it.values);
    for given in shared.iter().filter(|given| !taken.contains(&given.name)) {
        let what = parameters::nothing_of(&given.name, std::iter::empty());
        part.faults.add(given.place.clone(), what);
    }
    part
}
