//! `|window()`: points that are kept for a while and go on together.
//!
//! Only the time of points drives a window: without points nothing goes on.

use super::clock::truncate;
use super::graph::{Cx, Out, Run, Site};
use super::group::{Group, Slots};
use super::item::{Batch, Item, point_of};
use super::packed::Packed;
use crate::alerts::event::Row;
use crate::alerts::pipeline::{self, WINDOW_POINTS_MAX};
use crate::alerts::point::{Name, Point};
use std::sync::Arc;

/// How many points of a batch are kept, so that the next batch need not allocate.
const UNPACKED_MAX: usize = 256;

pub(super) struct Window {
    site: Site,
    settings: pipeline::Window,
    groups: Slots<Kept>,
    /// What went on last, whose memory is used again.
    unpacked: Vec<Row>,
}

/// What is kept of a group.
struct Kept {
    measurement: Name,
    rows: Rows,
}

impl Window {
    pub(super) fn new(site: Site, settings: pipeline::Window) -> Self {
        Window { site, settings, groups: Slots::default(), unpacked: Vec::new() }
    }
}

impl Run for Window {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        match item {
            Item::Point(point) => self.point(point, group, cx, out),
            Item::Batch(batch) => {
                for row in batch.rows {
                    self.point(&point_of(row, batch.measurement), group, cx, out);
                }
            }
        }
    }

    fn forget(&mut self, group: usize) {
        self.groups.forget(group);
    }
}

impl Window {
    fn point(&mut self, point: &Point, group: &Arc<Group>, cx: &mut Cx<'_>, out: &mut Out<'_>) {
        let settings = &self.settings;
        let kept = self.groups.get(group, || Kept {
            measurement: point.measurement.clone(),
            rows: Rows::new(settings, point.time),
        });
        let unpacked = &mut self.unpacked;
        let mut go_on = |time: i64, points: &Packed| {
            points.unpack(unpacked);
            let batch = Batch { measurement: &kept.measurement, time, rows: unpacked };
            out.send(Item::Batch(&batch), group, cx);
            unpacked.truncate(UNPACKED_MAX);
            unpacked.shrink_to(UNPACKED_MAX);
        };
        if !kept.rows.add(settings, point, &mut go_on) {
            cx.complain(&self.site, || {
                format!("the window has {WINDOW_POINTS_MAX} points, the earliest one is left out")
            });
        }
    }
}

/// The points of a window, in the order of their arrival.
struct Rows {
    points: Packed,
    /// By time: when they go on next. By count: how many points are missing until then.
    next: i64,
}

impl Rows {
    /// For a group whose first point has this time.
    fn new(settings: &pipeline::Window, time: i64) -> Self {
        let next = if settings.period_count > 0 {
            let first =
                if settings.fill_period { settings.period_count } else { settings.every_count };
            i64::try_from(first).unwrap_or(i64::MAX)
        } else {
            first_end(settings, time)
        };
        Rows { points: Packed::default(), next }
    }

    /// Takes a point. `go_on` gets the time of the batch and its points. Returns whether there was
    /// room.
    fn add(
        &mut self,
        settings: &pipeline::Window,
        point: &Point,
        go_on: &mut dyn FnMut(i64, &Packed),
    ) -> bool {
        if settings.period_count > 0 {
            self.add_counted(settings, point, go_on)
        } else if settings.every == 0 {
            self.add_and_go_on(settings, point, go_on)
        } else {
            self.add_timed(settings, point, go_on)
        }
    }

    fn add_timed(
        &mut self,
        settings: &pipeline::Window,
        point: &Point,
        go_on: &mut dyn FnMut(i64, &Packed),
    ) -> bool {
        if point.time >= self.next {
            let oldest = self.next.saturating_sub(settings.period);
            self.drop_while(|time| time < oldest);
            go_on(self.next, &self.points);
            // From this point, not from the last batch: what was silent is not made up for.
            self.next = aligned(settings, point.time.saturating_add(settings.every));
        }
        self.push(point, WINDOW_POINTS_MAX)
    }

    /// Without `every`: the batch has this point, and what is not older than `period` from it.
    fn add_and_go_on(
        &mut self,
        settings: &pipeline::Window,
        point: &Point,
        go_on: &mut dyn FnMut(i64, &Packed),
    ) -> bool {
        let had_room = self.push(point, WINDOW_POINTS_MAX);
        if point.time >= self.next {
            let oldest = point.time.saturating_sub(settings.period);
            self.drop_while(|time| time <= oldest);
            go_on(point.time, &self.points);
            self.next = point.time;
        }
        had_room
    }

    fn add_counted(
        &mut self,
        settings: &pipeline::Window,
        point: &Point,
        go_on: &mut dyn FnMut(i64, &Packed),
    ) -> bool {
        self.push(point, settings.period_count.min(WINDOW_POINTS_MAX));
        self.next -= 1;
        if self.next <= 0 {
            go_on(point.time, &self.points);
            self.next = i64::try_from(settings.every_count).unwrap_or(i64::MAX);
        }
        true
    }

    /// Keeps a point, and lets go of the one that came first if there are too many.
    fn push(&mut self, point: &Point, max: usize) -> bool {
        let has_room = self.points.len() < max;
        if !has_room {
            self.points.pop();
        }
        self.points.push(point);
        has_room
    }

    /// Lets go from the point that came first to the first one that is recent enough.
    fn drop_while(&mut self, is_old: impl Fn(i64) -> bool) {
        while self.points.first().is_some_and(&is_old) {
            self.points.pop();
        }
        self.points.shrink();
    }
}

/// When the first batch of a window by time ends.
fn first_end(settings: &pipeline::Window, time: i64) -> i64 {
    if !settings.fill_period {
        return aligned(settings, time.saturating_add(settings.every));
    }
    let full = time.saturating_add(settings.period);
    if !settings.align {
        return full;
    }
    let end = truncate(full, settings.every);
    if end > full { end } else { end.saturating_add(settings.every) }
}

fn aligned(settings: &pipeline::Window, time: i64) -> i64 {
    if settings.align { truncate(time, settings.every) } else { time }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::nodes::item::point;
    use crate::alerts::point::{Fields, Tags};
    use proptest::prelude::*;

    fn sent(settings: &pipeline::Window, times: &[i64]) -> Vec<(i64, Vec<i64>)> {
        let mut batches = Vec::new();
        let Some(&first) = times.first() else { return batches };
        let mut rows = Rows::new(settings, first);
        for &time in times {
            let point = point(&"m".into(), Tags::default(), Fields::default(), time);
            rows.add(settings, &point, &mut |time, points| {
                let mut rows = Vec::new();
                points.unpack(&mut rows);
                batches.push((time, rows.iter().map(|row| row.time).collect()));
            });
        }
        batches
    }

    fn timed(period: i64, every: i64) -> pipeline::Window {
        pipeline::Window { period, every, ..pipeline::Window::default() }
    }

    fn check(settings: &pipeline::Window, times: &[i64], wanted: &[(i64, &[i64])]) {
        let wanted: Vec<(i64, Vec<i64>)> =
            wanted.iter().map(|(time, rows)| (*time, rows.to_vec())).collect();
        assert_eq!(sent(settings, times), wanted, "{settings:?} {times:?}");
    }

    #[test]
    fn a_window_by_time_goes_on_when_a_point_comes_that_is_past_its_end() {
        let window = timed(10, 10);
        check(&window, &[3, 5, 12], &[]);
        check(&window, &[3, 5, 12, 13], &[(13, &[3, 5, 12])]);
        check(&window, &[3, 5, 12, 13, 20, 23], &[(13, &[3, 5, 12]), (23, &[13, 20])]);
        check(&window, &[0, 45, 46, 55], &[(10, &[0]), (55, &[45, 46])]);
        check(&timed(10, 5), &[0, 4, 5, 9, 10], &[(5, &[0, 4]), (10, &[0, 4, 5, 9])]);
        check(&timed(5, 10), &[0, 4, 5, 9, 10], &[(10, &[5, 9])]);
    }

    #[test]
    fn ends_can_be_aligned() {
        let window = pipeline::Window { align: true, ..timed(10, 10) };
        check(&window, &[3, 5, 12, 21], &[(10, &[3, 5]), (20, &[12])]);
        check(&window, &[10, 19, 20], &[(20, &[10, 19])]);
    }

    #[test]
    fn the_first_window_can_be_full() {
        let window = pipeline::Window { fill_period: true, ..timed(10, 5) };
        check(&window, &[3, 9, 13, 18], &[(13, &[3, 9]), (18, &[9, 13])]);
        let window = pipeline::Window { align: true, ..window };
        check(&window, &[3, 9, 13, 15, 20], &[(15, &[9, 13]), (20, &[13, 15])]);
        check(&window, &[0, 9, 13, 15], &[(15, &[9, 13])]);
    }

    #[test]
    fn without_every_each_point_goes_on() {
        let window = timed(10, 0);
        let all: &[(i64, &[i64])] = &[(0, &[0]), (5, &[0, 5]), (10, &[5, 10]), (11, &[5, 10, 11])];
        check(&window, &[0, 5, 10, 11], all);
        let window = pipeline::Window { fill_period: true, ..window };
        check(&window, &[0, 5, 10, 11], &all[2..]);
    }

    #[test]
    fn a_window_by_count_has_the_last_points() {
        let counted = |period_count, every_count| pipeline::Window {
            period_count,
            every_count,
            ..pipeline::Window::default()
        };
        check(&counted(2, 2), &[1, 2, 3, 4, 5], &[(2, &[1, 2]), (4, &[3, 4])]);
        check(&counted(3, 2), &[1, 2, 3, 4], &[(2, &[1, 2]), (4, &[2, 3, 4])]);
        check(&counted(1, 2), &[1, 2, 3, 4], &[(2, &[2]), (4, &[4])]);
        let full = pipeline::Window { fill_period: true, ..counted(3, 1) };
        check(&full, &[1, 2, 3, 4], &[(3, &[1, 2, 3]), (4, &[2, 3, 4])]);
    }

    #[test]
    fn late_points_are_neither_refused_nor_sorted() {
        check(&timed(10, 10), &[20, 15, 25, 30], &[(30, &[20, 15, 25])]);
        check(&timed(10, 10), &[10, 20, 5, 30], &[(20, &[10]), (30, &[20, 5])]);
    }

    /// As the specification says it, with all points there ever were and no thought of memory.
    fn naive(settings: &pipeline::Window, times: &[i64]) -> Vec<(i64, Vec<i64>)> {
        let mut batches = Vec::new();
        let cut = |time: i64| if settings.align { truncate(time, settings.every) } else { time };
        let mut next = None;
        let mut from = 0;
        for (index, &time) in times.iter().enumerate() {
            let end = *next.get_or_insert_with(|| {
                let full = time + settings.period;
                match (settings.fill_period, settings.align) {
                    (false, _) => cut(time + settings.every),
                    (true, false) => full,
                    (true, true) if cut(full) > full => cut(full),
                    (true, true) => cut(full) + settings.every,
                }
            });
            if time < end {
                continue;
            }
            let (oldest, last) = if settings.every == 0 {
                (time - settings.period + 1, index)
            } else {
                (end - settings.period, index - 1)
            };
            let kept = &times[from..=last];
            from += kept.iter().take_while(|&&time| time < oldest).count();
            let batch = if settings.every == 0 { time } else { end };
            batches.push((batch, times[from..=last].to_vec()));
            next = Some(if settings.every == 0 { time } else { cut(time + settings.every) });
        }
        batches
    }

    proptest! {
        #[test]
        fn windows_do_what_the_specification_says(
            period in 1_i64..30,
            every in 0_i64..30,
            align: bool,
            fill_period: bool,
            start in -50_i64..50,
            steps in prop::collection::vec(-5_i64..15, 0..60),
        ) {
            let align = align && every > 0;
            let settings = pipeline::Window { align, fill_period, ..timed(period, every) };
            let mut time = start;
            let times: Vec<i64> = steps.iter().map(|step| { time += step; time }).collect();
            prop_assert_eq!(sent(&settings, &times), naive(&settings, &times));
        }

        #[test]
        fn windows_by_count_do_what_the_specification_says(
            period_count in 1_usize..12,
            every_count in 1_usize..12,
            fill_period: bool,
            points in 0_i64..60,
        ) {
            let settings =
                pipeline::Window { period_count, every_count, fill_period, ..timed(0, 0) };
            let times: Vec<i64> = (0..points).collect();
            let first = if fill_period { period_count } else { every_count };
            let wanted: Vec<(i64, Vec<i64>)> = (first..=times.len())
                .step_by(every_count)
                .map(|end| (times[end - 1], times[end.saturating_sub(period_count)..end].to_vec()))
                .collect();
            prop_assert_eq!(sent(&settings, &times), wanted);
        }
    }
}
