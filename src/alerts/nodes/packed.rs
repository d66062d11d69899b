//! Points of a window, packed: they lie there for as long as the window is long, and there may be
//! ten thousand windows.
//!
//! Points of a series have the same tags, and fields of the same names and types. That is their
//! [`Shape`], kept once for all that follow each other with it. What is left of a point is its time
//! and eight bytes for each field.

use crate::alerts::event::Row;
use crate::alerts::point::{Field, Name, Point, Tags};
use std::collections::VecDeque;

/// Points in the order of their arrival.
#[derive(Default)]
pub(super) struct Packed {
    times: VecDeque<i64>,
    /// All fields but texts, one point after the other.
    bits: VecDeque<u64>,
    texts: VecDeque<Name>,
    shapes: VecDeque<Run>,
}

/// Points that follow each other with the same shape.
struct Run {
    shape: Shape,
    points: usize,
}

struct Shape {
    tags: Tags,
    columns: Box<[(Name, Kind)]>,
}

/// The type of a field.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Float,
    Int,
    Bool,
    Text,
}

impl Packed {
    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// The time of the point that came first.
    pub(super) fn first(&self) -> Option<i64> {
        self.times.front().copied()
    }

    /// Adds a point.
    pub(super) fn push(&mut self, point: &Point) {
        match self.shapes.back_mut() {
            Some(run) if run.shape.is_of(point) => run.points += 1,
            _ => add(&mut self.shapes, Run { shape: Shape::of(point), points: 1 }),
        }
        add(&mut self.times, point.time);
        for (_, field) in point.fields.iter() {
            match field {
                Field::Float(value) => add(&mut self.bits, value.to_bits()),
                Field::Int(value) => add(&mut self.bits, value.cast_unsigned()),
                Field::Bool(value) => add(&mut self.bits, u64::from(*value)),
                Field::Text(text) => add(&mut self.texts, text.clone()),
            }
        }
    }

    /// Takes away the point that came first.
    pub(super) fn pop(&mut self) {
        let Some(run) = self.shapes.front_mut() else { return };
        self.times.pop_front();
        let texts = run.shape.texts();
        self.texts.drain(..texts);
        self.bits.drain(..run.shape.columns.len() - texts);
        run.points -= 1;
        if run.points == 0 {
            self.shapes.pop_front();
        }
    }

    /// Gives back memory that a burst has taken.
    pub(super) fn shrink(&mut self) {
        const FEW: usize = 16;
        if self.times.capacity() > FEW && self.times.len() < self.times.capacity() / 4 {
            self.times.shrink_to(self.times.len() * 2);
            self.bits.shrink_to(self.bits.len() * 2);
            self.texts.shrink_to(self.texts.len() * 2);
            self.shapes.shrink_to(self.shapes.len() * 2);
        }
    }

    /// Puts all points in the place of what is in `rows`, whose memory is used again.
    pub(super) fn unpack(&self, rows: &mut Vec<Row>) {
        rows.truncate(self.len());
        let mut times = self.times.iter();
        let mut bits = self.bits.iter();
        let mut texts = self.texts.iter();
        let mut index = 0;
        for run in &self.shapes {
            for &time in times.by_ref().take(run.points) {
                if rows.len() == index {
                    rows.push(Row::default());
                }
                let row = &mut rows[index];
                row.time = time;
                row.tags.clone_from(&run.shape.tags);
                let columns = run.shape.columns.iter();
                row.fields.replace(columns.filter_map(|(name, kind)| {
                    let value = match kind {
                        Kind::Float => Field::Float(f64::from_bits(*bits.next()?)),
                        Kind::Int => Field::Int(bits.next()?.cast_signed()),
                        Kind::Bool => Field::Bool(*bits.next()? != 0),
                        Kind::Text => Field::Text(texts.next()?.clone()),
                    };
                    Some((name, value))
                }));
                index += 1;
            }
        }
    }
}

/// Adds one at the end. What is full grows by a quarter, not by as much again.
fn add<T>(all: &mut VecDeque<T>, one: T) {
    if all.len() == all.capacity() {
        all.reserve_exact(1 + all.len() / 4);
    }
    all.push_back(one);
}

impl Shape {
    fn of(point: &Point) -> Self {
        let columns = point.fields.iter().map(|(name, field)| (name.clone(), Kind::of(field)));
        Shape { tags: point.tags.clone(), columns: columns.collect() }
    }

    fn is_of(&self, point: &Point) -> bool {
        let is_column = |((name, kind), (given, field)): (&(Name, Kind), (&Name, &Field))| {
            *kind == Kind::of(field) && name == given
        };
        self.columns.len() == point.fields.iter().len()
            && self.columns.iter().zip(point.fields.iter()).all(is_column)
            && self.tags == point.tags
    }

    fn texts(&self) -> usize {
        self.columns.iter().filter(|(_, kind)| *kind == Kind::Text).count()
    }
}

impl Kind {
    fn of(field: &Field) -> Self {
        match field {
            Field::Float(_) => Kind::Float,
            Field::Int(_) => Kind::Int,
            Field::Bool(_) => Kind::Bool,
            Field::Text(_) => Kind::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::nodes::item::row;
    use crate::alerts::nodes::tests::points;
    use proptest::prelude::*;

    proptest! {
        /// Whatever comes and goes, what is there is what would be there without packing.
        #[test]
        fn points_come_out_as_they_went_in(steps in prop::collection::vec(0..12_usize, 0..60)) {
            let given = points("m f=1 1\nm f=2 2\nm,a=x f=3 3\nm f=4,g=5i 4\nm s=\"x\",t=\"y\" 5\nm b=true 6\nm f=1i,s=\"z\" 7\nm f=-0,g=-7i 8");
            let (mut packed, mut plain) = (Packed::default(), VecDeque::new());
            let mut rows = Vec::new();
            for step in steps {
                match given.get(step) {
                    Some(point) => {
                        packed.push(point);
                        plain.push_back(row(point));
                    }
                    None if step == 8 => packed.shrink(),
                    None => {
                        packed.pop();
                        plain.pop_front();
                    }
                }
                packed.unpack(&mut rows);
                prop_assert_eq!(&rows, plain.make_contiguous());
                prop_assert_eq!(packed.len(), plain.len());
                prop_assert_eq!(packed.first(), plain.front().map(|row| row.time));
            }
        }
    }
}
