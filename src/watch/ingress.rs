//! How many points came, by where they were written to: those that a task reads.

use crate::alerts::{Name, Point};
use serde_json::{Map, Value, json};

/// Most measurements that are counted.
const MEASUREMENTS_MAX: usize = 1_000;

/// The counts since the start.
#[derive(Default)]
pub(super) struct Ingress {
    counts: Vec<([Name; 3], u64)>,
    /// The one of the point before, which is mostly that of the next.
    last: usize,
}

impl Ingress {
    pub(super) fn count(&mut self, points: &[Point]) {
        for point in points {
            let key = [&point.database, &point.retention_policy, &point.measurement];
            let is_its = |one: &([Name; 3], u64)| one.0.iter().eq(key);
            if !self.counts.get(self.last).is_some_and(is_its) {
                let known = self.counts.iter().position(is_its);
                self.last = known.unwrap_or(self.counts.len());
                if known.is_none() && self.counts.len() < MEASUREMENTS_MAX {
                    self.counts.push((key.map(Name::clone), 0));
                }
            }
            if let Some((_, count)) = self.counts.get_mut(self.last) {
                *count += 1;
            }
        }
    }

    /// As a Kapacitor shows them.
    pub(super) fn shown(&self) -> Value {
        let shown = self.counts.iter().enumerate().map(|(number, (key, count))| {
            let [database, policy, measurement] = key.each_ref().map(|name| &**name);
            let of = json!({
                "name": "ingress",
                "tags": {
                    "database": database,
                    "retention_policy": policy,
                    "measurement": measurement,
                },
                "values": { "points_received": count },
            });
            (number.to_string(), of)
        });
        Value::Object(shown.collect::<Map<_, _>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_counted_by_where_they_were_written_to() {
        let mut ingress = Ingress::default();
        let point = |database: &str, measurement: &str| Point {
            database: database.into(),
            retention_policy: "".into(),
            measurement: measurement.into(),
            tags: crate::alerts::Tags::default(),
            fields: crate::alerts::Fields::default(),
            time: 0,
        };
        for _ in 0..2 {
            ingress.count(&[point("a", "cpu"), point("a", "cpu"), point("b", "cpu")]);
        }
        ingress.count(&[point("a", "mem")]);
        let shown = ingress.shown();
        for (number, database, measurement, count) in
            [("0", "a", "cpu", 4), ("1", "b", "cpu", 2), ("2", "a", "mem", 1)]
        {
            let of = &shown[number];
            assert_eq!(of["tags"]["database"], database);
            assert_eq!(of["tags"]["measurement"], measurement);
            assert_eq!(of["values"]["points_received"], count);
        }
        for number in 0..2 * MEASUREMENTS_MAX {
            ingress.count(&[point("a", &number.to_string())]);
        }
        assert_eq!(ingress.shown().as_object().map(Map::len), Some(MEASUREMENTS_MAX));
    }
}
