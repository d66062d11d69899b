//! What an alert knows of one group: its last levels, whether they flap, since when it lasts.

use crate::alerts::event::Level;
use crate::alerts::pipeline::{Alert, HISTORY, HISTORY_MAX};

/// The weight of the oldest change in a history, and what the weight of the next one after the
/// newest would be.
const WEIGHTS: (f64, f64) = (0.8, 1.2);

/// When a level is an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Only when it changes, or after this long; 0 is never.
    state_changes_only: Option<i64>,
    no_recoveries: bool,
    flapping: Option<(f64, f64)>,
    history: usize,
}

impl Rules {
    pub(super) fn of(alert: &Alert) -> Self {
        let history = if alert.history == 0 { HISTORY } else { alert.history };
        Rules {
            state_changes_only: alert.state_changes_only,
            no_recoveries: alert.no_recoveries,
            flapping: alert.flapping,
            history: history.clamp(2, HISTORY_MAX),
        }
    }
}

/// What is known of a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Machine {
    /// The last levels, in a ring; without flapping only the last one is of use.
    levels: Box<[Level]>,
    /// Where the newest one is.
    newest: usize,
    is_flapping: bool,
    first_triggered: i64,
    last_triggered: Option<i64>,
}

/// What follows from a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An event, this long after the alert began.
    Event(i64),
    /// Nothing.
    Silence,
}

/// What a record has to be right about.
#[derive(PartialEq)]
pub(super) struct Memory {
    level: Level,
    history: Vec<Level>,
    is_flapping: bool,
    triggered: (i64, Option<i64>),
}

impl Machine {
    /// All is well, and has been.
    pub(super) fn new(rules: &Rules) -> Self {
        let length = if rules.flapping.is_some() { rules.history } else { 1 };
        Machine {
            levels: vec![Level::Ok; length].into(),
            newest: 0,
            is_flapping: false,
            first_triggered: 0,
            last_triggered: None,
        }
    }

    /// The level now.
    pub(super) fn level(&self) -> Level {
        self.levels[self.newest]
    }

    /// Takes the level of a point.
    pub(super) fn point(&mut self, rules: &Rules, level: Level, time: i64) -> Step {
        let previous = self.level();
        self.push(rules, level);
        let changed = level != previous;
        if self.is_held_back(rules, changed, time) || (level == Level::Ok && !changed) {
            return Step::Silence;
        }
        self.trigger(rules, previous, level, time)
    }

    /// Takes the level of a batch. Unlike with points, flapping holds no recovery back.
    pub(super) fn batch(&mut self, rules: &Rules, level: Level, time: i64) -> Step {
        let previous = self.level();
        self.push(rules, level);
        let changed = level != previous;
        let goes =
            if level == Level::Ok { changed } else { !self.is_held_back(rules, changed, time) };
        if goes { self.trigger(rules, previous, level, time) } else { Step::Silence }
    }

    fn push(&mut self, rules: &Rules, level: Level) {
        self.newest = (self.newest + 1) % self.levels.len();
        self.levels[self.newest] = level;
        let Some((low, high)) = rules.flapping else { return };
        let rate = self.change_rate();
        if self.is_flapping && rate < low {
            self.is_flapping = false;
        } else if !self.is_flapping && rate > high {
            self.is_flapping = true;
        }
    }

    fn is_held_back(&self, rules: &Rules, changed: bool, time: i64) -> bool {
        let Some(interval) = rules.state_changes_only else { return self.is_flapping };
        let since = |last: i64| time.saturating_sub(last);
        let expired =
            interval > 0 && self.last_triggered.is_none_or(|last| since(last) >= interval);
        self.is_flapping || (!changed && !expired)
    }

    fn trigger(&mut self, rules: &Rules, previous: Level, level: Level, time: i64) -> Step {
        self.last_triggered = Some(time);
        if previous == Level::Ok {
            self.first_triggered = time;
        }
        if rules.no_recoveries && level == Level::Ok {
            return Step::Silence;
        }
        Step::Event(time.saturating_sub(self.first_triggered))
    }

    /// The levels, oldest first.
    fn history(&self) -> impl Iterator<Item = Level> + Clone {
        let oldest = (self.newest + 1) % self.levels.len();
        let (newer, older) = self.levels.split_at(oldest);
        older.iter().chain(newer).copied()
    }

    /// How much of the history is changes; newer ones weigh more.
    fn change_rate(&self) -> f64 {
        let pairs = self.levels.len() - 1;
        #[expect(clippy::cast_precision_loss, reason = "a history is short")]
        let pairs = pairs as f64;
        let (mut weight, end) = WEIGHTS;
        let step = (end - weight) / pairs;
        let mut changes = 0.0;
        for (before, after) in self.history().zip(self.history().skip(1)) {
            if before != after {
                changes += weight;
            }
            weight += step;
        }
        changes / pairs
    }

    /// Whether there is nothing to remember over a restart.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.is_flapping && self.levels.iter().all(|level| *level == Level::Ok)
    }

    /// What later points depend on, to see whether there has to be a new record. When the last
    /// event was only matters to an alert that is repeated after a while.
    pub(super) fn memory(&self, rules: &Rules) -> Option<Memory> {
        let has_history = self.levels.len() > 1;
        let is_repeated = rules.state_changes_only.is_some_and(|interval| interval > 0);
        (!self.is_at_rest()).then(|| Memory {
            level: self.level(),
            history: if has_history { self.history().collect() } else { Vec::new() },
            is_flapping: self.is_flapping,
            triggered: (self.first_triggered, self.last_triggered.filter(|_| is_repeated)),
        })
    }

    /// What is remembered over a restart, if anything.
    pub(super) fn record(&self) -> Option<String> {
        if self.is_at_rest() {
            return None;
        }
        let levels: String = self.history().map(digit).collect();
        let levels = levels.trim_start_matches('0');
        let levels = if levels.is_empty() { "0" } else { levels };
        let last = self.last_triggered.map_or("-".to_owned(), |last| last.to_string());
        let flapping = if self.is_flapping { " flapping" } else { "" };
        Some(format!("{levels} {} {last}{flapping}", self.first_triggered))
    }

    /// Goes on from a record. One that cannot be read counts as none.
    pub(super) fn restored(rules: &Rules, record: &str) -> Option<Self> {
        let mut words = record.split(' ');
        let levels: Vec<Level> = words.next()?.chars().map(level).collect::<Option<_>>()?;
        let mut machine = Machine::new(rules);
        for level in levels {
            machine.newest = (machine.newest + 1) % machine.levels.len();
            machine.levels[machine.newest] = level;
        }
        machine.first_triggered = words.next()?.parse().ok()?;
        machine.last_triggered = match words.next()? {
            "-" => None,
            time => Some(time.parse().ok()?),
        };
        machine.is_flapping = rules.flapping.is_some() && words.next() == Some("flapping");
        Some(machine)
    }
}

fn digit(level: Level) -> char {
    match level {
        Level::Ok => '0',
        Level::Info => '1',
        Level::Warning => '2',
        Level::Critical => '3',
    }
}

fn level(digit: char) -> Option<Level> {
    match digit {
        '0' => Some(Level::Ok),
        '1' => Some(Level::Info),
        '2' => Some(Level::Warning),
        '3' => Some(Level::Critical),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(change: impl FnOnce(&mut Alert)) -> Rules {
        let mut alert = Alert::default();
        change(&mut alert);
        Rules::of(&alert)
    }

    /// One digit for each point, a second apart; what is said of them: level, time, duration.
    fn events(rules: &Rules, points: &str) -> String {
        let mut machine = Machine::new(rules);
        said(&mut machine, rules, points, 0)
    }

    fn said(machine: &mut Machine, rules: &Rules, points: &str, first: i64) -> String {
        let mut said = Vec::new();
        for (time, point) in (first..).zip(points.chars()) {
            let given = level(point).expect("a digit from 0 to 3");
            if let Step::Event(duration) = machine.point(rules, given, time) {
                said.push(format!("{point}@{time}+{duration}"));
            }
        }
        said.join(" ")
    }

    #[test]
    fn levels_become_events() {
        let every = rules(|_| ());
        let changes = rules(|alert| alert.state_changes_only = Some(0));
        let again = rules(|alert| alert.state_changes_only = Some(3));
        let no_recoveries = rules(|alert| alert.no_recoveries = true);
        let quiet = rules(|alert| {
            alert.no_recoveries = true;
            alert.state_changes_only = Some(0);
        });
        for (rules, points, wanted) in [
            (&every, "000", ""),
            (&every, "0330", "3@1+0 3@2+1 0@3+2"),
            (&every, "3210", "3@0+0 2@1+1 1@2+2 0@3+3"),
            (&every, "30030", "3@0+0 0@1+1 3@3+0 0@4+1"),
            (&changes, "0333220", "3@1+0 2@4+3 0@6+5"),
            (&changes, "3030", "3@0+0 0@1+1 3@2+0 0@3+1"),
            (&again, "3333333330", "3@0+0 3@3+3 3@6+6 0@9+9"),
            (&again, "3322222220", "3@0+0 2@2+2 2@5+5 2@8+8 0@9+9"),
            (&no_recoveries, "33003", "3@0+0 3@1+1 3@4+0"),
            (&quiet, "330032", "3@0+0 3@4+0 2@5+1"),
        ] {
            assert_eq!(events(rules, points), wanted, "{rules:?} {points}");
        }
    }

    #[test]
    fn newer_changes_weigh_more() {
        let rules = rules(|alert| {
            alert.flapping = Some((0.25, 0.5));
            alert.history = 5;
        });
        // Four pairs weigh 0.8, 0.9, 1.0 and 1.1.
        for (history, wanted) in [
            ("00000", 0.0),
            ("00003", 1.1 / 4.0),
            ("03333", 0.2),
            ("03030", 3.8 / 4.0),
            ("00303", 3.0 / 4.0),
        ] {
            let mut machine = Machine::new(&rules);
            said(&mut machine, &rules, history, 0);
            let rate = machine.change_rate();
            assert!((rate - wanted).abs() < 1e-9, "{history}: {rate}, not {wanted}");
        }
    }

    #[test]
    fn nothing_is_said_while_levels_flap() {
        let rules = rules(|alert| {
            alert.flapping = Some((0.25, 0.5));
            alert.history = 5;
        });
        // 0.275 after the first change, 0.525 after the second: it flaps. The rate falls as the
        // changes grow old, to 0.2 with the last one at the end.
        assert_eq!(events(&rules, "030"), "3@1+0");
        assert_eq!(events(&rules, "03000"), "3@1+0");
        assert_eq!(events(&rules, "0300000300"), "3@1+0 3@7+0", "the recovery was not said");
        assert_eq!(events(&rules, "0303333333"), "3@1+0 3@6+5 3@7+6 3@8+7 3@9+8");
    }

    #[test]
    fn a_batch_recovers_even_while_levels_flap() {
        let rules = rules(|alert| {
            alert.flapping = Some((0.25, 0.5));
            alert.history = 5;
        });
        let mut machine = Machine::new(&rules);
        let mut step = |level, time| machine.batch(&rules, level, time);
        assert_eq!(step(Level::Critical, 0), Step::Event(0));
        assert_eq!(step(Level::Ok, 1), Step::Event(1));
        assert_eq!(step(Level::Critical, 2), Step::Silence);
        assert_eq!(step(Level::Ok, 3), Step::Event(3));
        assert_eq!(step(Level::Ok, 4), Step::Silence);
    }

    #[test]
    fn a_machine_goes_on_from_its_record() {
        let plain = rules(|_| ());
        let changes = rules(|alert| alert.state_changes_only = Some(10));
        let flapping = rules(|alert| {
            alert.flapping = Some((0.25, 0.5));
            alert.history = 5;
        });
        for rules in [plain, changes, flapping] {
            for points in ["3", "03", "30", "0330", "303", "30303", "0333333333", "30303330"] {
                let mut machine = Machine::new(&rules);
                said(&mut machine, &rules, points, 100);
                let mut restored = match machine.record() {
                    Some(record) => Machine::restored(&rules, &record).expect("it can be read"),
                    None => Machine::new(&rules),
                };
                let rest = "330300000033333";
                let wanted = said(&mut machine, &rules, rest, 200);
                assert_eq!(said(&mut restored, &rules, rest, 200), wanted, "{rules:?} {points}");
            }
        }
    }

    #[test]
    fn a_record_is_short() {
        let flapping = rules(|alert| {
            alert.flapping = Some((0.25, 0.5));
            alert.history = 5;
        });
        for (rules, points, wanted) in [
            (rules(|_| ()), "030", None),
            (rules(|_| ()), "032", Some("2 1 2")),
            (flapping, "030", Some("30 1 1 flapping")),
            (flapping, "03", Some("3 1 1")),
        ] {
            let mut machine = Machine::new(&rules);
            said(&mut machine, &rules, points, 0);
            assert_eq!(machine.record().as_deref(), wanted, "{points}");
        }
        for record in ["", "3", "4 1 1", "3 x 1", "3 1 x"] {
            assert_eq!(Machine::restored(&flapping, record), None, "{record}");
        }
    }
}
