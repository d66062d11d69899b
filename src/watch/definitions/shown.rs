//! Tasks and topics as the page shows them.

use super::Definitions;
use crate::system::health::Table;
use crate::system::threads::lock;
use std::cmp::Reverse;

impl Definitions {
    /// Each task, and whether it runs.
    #[must_use]
    pub fn tasks_shown(&self) -> Table {
        let known = lock(&self.known);
        let rows = known.tasks.values().map(|task| {
            let groups = self.watch.look(|engine, _| engine.groups(&task.id)).unwrap_or(0);
            let state = match (task.enabled, task.error.as_str()) {
                (false, _) => "not enabled".to_owned(),
                (true, "") => "runs".to_owned(),
                (true, why) => format!("does not run: {why}"),
            };
            vec![task.id.clone(), state, groups.to_string()]
        });
        Table { title: "Tasks", columns: &["Task", "State", "Groups"], rows: rows.collect() }
    }

    /// Each topic with its level, the worst first.
    #[must_use]
    pub fn topics_shown(&self) -> Table {
        let mut topics: Vec<_> = self.watch.look(|_, deliver| {
            let all = deliver.topics.all();
            all.map(|(name, topic)| (topic.level(), name.to_owned(), topic.states().count()))
                .collect()
        });
        topics.sort_by_key(|(level, _, _)| Reverse(*level));
        let rows = topics
            .into_iter()
            .map(|(level, name, count)| vec![name, level.name().to_owned(), count.to_string()]);
        let columns = &["Topic", "Level", "Alerts known"];
        Table { title: "Alert topics", columns, rows: rows.collect() }
    }
}
