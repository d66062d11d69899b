//! What a person asks for with `ilagent queue`.

use super::Board;
use crate::queue::row::RowId;

impl Board {
    /// Everything that waits may go at once: somebody asked for it.
    pub(in crate::queue) fn hurry(&mut self) {
        for sink in &mut self.sinks {
            sink.gate.open();
        }
        self.call_all();
        let numbers: Vec<u32> = self.lanes.keys().copied().collect();
        for number in numbers {
            if let Some(lane) = self.lanes.get_mut(&number) {
                lane.gate.open();
                lane.wake_all();
            }
            self.rotate(number);
        }
    }

    /// Lets one waiting entry go at once; `false` when it is in flight.
    pub(in crate::queue) fn hurry_one(&mut self, row: RowId) -> bool {
        if self.in_flight.contains(&row.seq) {
            return false;
        }
        if let Some(lane) = self.lanes.get_mut(&row.lane) {
            lane.hurry(row.seq);
            self.rotate(row.lane);
        }
        true
    }

    /// Takes an entry off the board before its row is deleted; `false` when it is in flight.
    pub(in crate::queue) fn withdraw(&mut self, row: RowId, bytes: u64) -> bool {
        if self.in_flight.contains(&row.seq) {
            return false;
        }
        if let Some(entry) = self.lanes.get_mut(&row.lane).and_then(|lane| lane.remove(row.seq)) {
            self.on_board = self.on_board.saturating_sub(entry.bytes());
            self.ages.remove(&row.seq);
        }
        self.stored.take(bytes);
        self.ending += 1;
        self.rotate(row.lane);
        self.read_on(row.lane);
        self.note_idle(row.lane);
        true
    }
}
