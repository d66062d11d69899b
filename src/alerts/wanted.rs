//! What the tasks read: asked before a line becomes a point, so that what nobody reads costs
//! nothing.

use super::script::ast::Dbrp;

/// The retention policy that InfluxDB gives to a database that is told of none.
const AUTOGEN: &str = "autogen";

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
