//! What the tasks read: asked before a line becomes a point, so that what nobody reads costs
//! nothing.

use super::pipeline::{Kind, Pipeline};
use super::point::Name;
use super::script::ast::Dbrp;

/// The retention policy that InfluxDB gives to a database without one.
const AUTOGEN: &str = "autogen";

/// What each task reads.
#[derive(Clone, Debug, Default)]
pub struct Wanted(Vec<Reads>);

#[derive(Clone, Debug)]
struct Reads {
    dbrps: Vec<Dbrp>,
    /// `None` if it reads all of them.
    measurements: Option<Vec<Name>>,
}

/// Which measurements of one database and retention policy are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measurements<'w> {
    /// All.
    All,
    /// These, which may be none.
    These(Vec<&'w str>),
}

impl Wanted {
    /// What `tasks` read.
    pub fn of<'t>(tasks: impl Iterator<Item = &'t Pipeline>) -> Self {
        let reads =
            |task: &Pipeline| Reads { dbrps: task.dbrps.clone(), measurements: measurements(task) };
        Wanted(tasks.map(reads).collect())
    }

    /// The databases that tasks name.
    #[must_use]
    pub fn databases(&self) -> Vec<&str> {
        let dbrps = self.0.iter().flat_map(|reads| &reads.dbrps);
        let mut names: Vec<&str> = dbrps.map(|dbrp| &*dbrp.database).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What is wanted of what is written to a database and a retention policy.
    #[must_use]
    pub fn in_database(&self, database: &str, retention_policy: &str) -> Measurements<'_> {
        let mut these = Vec::new();
        let takes = |reads: &&Reads| takes(&reads.dbrps, database, retention_policy);
        for reads in self.0.iter().filter(takes) {
            let Some(measurements) = &reads.measurements else { return Measurements::All };
            these.extend(measurements.iter().map(|name| &**name));
        }
        these.sort_unstable();
        these.dedup();
        Measurements::These(these)
    }
}

impl Measurements<'_> {
    /// Whether points of this measurement are wanted.
    #[must_use]
    pub fn has(&self, measurement: &str) -> bool {
        match self {
            Measurements::All => true,
            Measurements::These(these) => these.binary_search(&measurement).is_ok(),
        }
    }
}

/// Whether a task with `dbrps` gets what is written to a database and a retention policy. Without
/// any it gets everything.
///
/// Most writers name no retention policy, and most tasks name InfluxDB's first one, so these two
/// are taken for the same.
#[must_use]
pub fn takes(dbrps: &[Dbrp], database: &str, retention_policy: &str) -> bool {
    let is_it = |dbrp: &Dbrp| {
        *dbrp.database == *database && is_same_policy(&dbrp.retention_policy, retention_policy)
    };
    dbrps.is_empty() || dbrps.iter().any(is_it)
}

/// Whether two names of a retention policy mean the same one.
#[must_use]
pub fn is_same_policy(one: &str, other: &str) -> bool {
    let plain = |policy| if policy == AUTOGEN { "" } else { policy };
    plain(one) == plain(other)
}

/// The measurements that a task reads; `None` if one of its nodes reads all of them.
fn measurements(pipeline: &Pipeline) -> Option<Vec<Name>> {
    let begins = |kind: &Kind| matches!(kind, Kind::Stream);
    let below = pipeline
        .nodes
        .iter()
        .filter(|node| node.parents.iter().any(|parent| begins(&pipeline.nodes[*parent].kind)));
    below
        .map(|node| match &node.kind {
            Kind::From(from) => from.measurement.clone(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::pipeline::{From, Node};
    use crate::alerts::script::Place;

    #[test]
    fn a_task_gets_what_is_written_to_its_databases() {
        let dbrp = |(database, policy): &(&str, &str)| Dbrp {
            database: (*database).into(),
            retention_policy: (*policy).into(),
        };
        for (dbrps, database, policy, wanted) in [
            (&[][..], "telegraf", "autogen", true),
            (&[("telegraf", "autogen")], "telegraf", "autogen", true),
            (&[("telegraf", "autogen")], "telegraf", "", true),
            (&[("telegraf", "")], "telegraf", "autogen", true),
            (&[("telegraf", "autogen")], "telegraf", "weekly", false),
            (&[("telegraf", "weekly")], "telegraf", "", false),
            (&[("telegraf", "autogen")], "other", "autogen", false),
            (&[("telegraf", "autogen"), ("other", "weekly")], "other", "weekly", true),
        ] {
            let dbrps: Vec<Dbrp> = dbrps.iter().map(dbrp).collect();
            assert_eq!(takes(&dbrps, database, policy), wanted, "{dbrps:?} {database} {policy}");
        }
    }

    /// A task that reads `dbrps`, written `database.policy`, and these measurements; `*` is all.
    fn task(dbrps: &[&str], measurements: &[&str]) -> Pipeline {
        let dbrp = |text: &&str| {
            let (database, retention_policy) = text.split_once('.').unwrap();
            Dbrp { database: database.into(), retention_policy: retention_policy.into() }
        };
        let node = |name: &str, parents, kind| Node {
            name: name.to_owned(),
            place: Place::default(),
            parents,
            kind,
        };
        let from = |(number, name): (usize, &&str)| {
            let measurement = (*name != "*").then(|| Name::from(*name));
            let kind = Kind::From(From { measurement, ..From::default() });
            node(&format!("from{}", number + 1), vec![0], kind)
        };
        let mut nodes = vec![node("stream0", Vec::new(), Kind::Stream)];
        nodes.extend(measurements.iter().enumerate().map(from));
        nodes.push(node("log9", vec![1], Kind::NoOp));
        Pipeline { dbrps: dbrps.iter().map(dbrp).collect(), nodes }
    }

    #[test]
    fn what_is_wanted_is_what_some_task_reads() {
        let tasks = [
            task(&["telegraf.autogen", "other.rp"], &["cpu", "mem"]),
            task(&["telegraf."], &["disk"]),
            task(&["all.rp"], &["x", "*"]),
        ];
        let wanted = Wanted::of(tasks.iter());
        let these = |names: &[&'static str]| Measurements::These(names.to_vec());
        for (database, policy, measurements) in [
            ("telegraf", "autogen", these(&["cpu", "disk", "mem"])),
            ("telegraf", "", these(&["cpu", "disk", "mem"])),
            ("telegraf", "rp", these(&[])),
            ("other", "rp", these(&["cpu", "mem"])),
            ("other", "", these(&[])),
            ("all", "rp", Measurements::All),
            ("none", "", these(&[])),
        ] {
            assert_eq!(wanted.in_database(database, policy), measurements, "{database}.{policy}");
        }
        let other = wanted.in_database("other", "rp");
        assert!(other.has("mem") && !other.has("disk"));
        assert_eq!(wanted.databases(), ["all", "other", "telegraf"]);
        let everywhere = Wanted::of([task(&[], &["x"])].iter());
        assert_eq!(everywhere.in_database("none", "y"), these(&["x"]));
    }
}
