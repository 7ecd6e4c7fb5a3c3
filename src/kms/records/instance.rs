//! Records that detect whether this store is a copy, or was superseded by one.
//!
//! The record `instance` of kind `Store`: `u8 1 ‖ 16 instance id ‖ place? (16)`. The record named
//! `marks/` followed by the name of a mark holder: `u8 1 ‖ 16 instance id ‖ u8 confirmed ‖ i64 time
//! ‖ u8 count ‖ marks (u64 generation ‖ 16 nonce)`, ascending. A byte 0 or 1 precedes an optional
//! field.

use super::codec::{LAYOUT, check_layout, flag, optional, put_flag, put_timestamp, timestamp};
use super::store::store_record_id;
use super::stored_record::{PlainRecord, StoredRecord};
use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::error::Result;
use crate::provider::InstanceMark;
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// Prefix of a history's name, followed by the name of the holder.
const HISTORY_PREFIX: &[u8] = b"marks/";

/// Maximum number of marks recorded per holder. Few marks are never found in the holder: one per
/// process writing them.
const MAX_MARKS: usize = 64;

/// The instance of a store. It is replaced when a copy is declared the successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct Instance {
    pub(in crate::kms) id: [u8; 16],
    /// The location of the store, if it reports one.
    pub(in crate::kms) place: Option<[u8; 16]>,
}

impl Instance {
    pub(in crate::kms) fn record_id() -> RecordId {
        store_record_id(b"instance")
    }

    /// Returns `false` if the store's location is known to differ from the recorded one.
    pub(in crate::kms) fn is_at(&self, place: Option<[u8; 16]>) -> bool {
        self.place.is_none() || place.is_none() || self.place == place
    }
}

impl StoredRecord for Instance {
    const KIND: RecordKind = RecordKind::Store;

    fn is_named(id: &RecordId) -> bool {
        *id == Self::record_id()
    }

    fn decode(_id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let id = reader.array("instance id")?;
        let place = optional(&mut reader, |reader| Ok(reader.array("place")?))?;
        reader.finish()?;
        Ok(Self { id, place })
    }
}

impl PlainRecord for Instance {
    fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(34);
        writer.u8(LAYOUT).bytes(&self.id);
        put_flag(&mut writer, self.place.is_some());
        self.place.iter().for_each(|place| _ = writer.bytes(place));
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }
}

/// The latest marks of a store in one holder of key material, in ascending order of generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kms) struct MarkHistory {
    /// The instance that the marks belong to. A later instance may replace any marks it finds.
    pub(in crate::kms) instance: [u8; 16],
    /// `true` if the first mark was found in the holder.
    pub(in crate::kms) confirmed: bool,
    /// The time at which the last mark was recorded.
    pub(in crate::kms) moved: Timestamp,
    marks: Vec<InstanceMark>,
}

/// The result of comparing the history with the marks found in a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) enum Verdict {
    /// The holder has the last mark of this store.
    Current,
    /// The holder has an earlier mark, or none yet. The contained mark must be added.
    Behind(InstanceMark),
    /// The holder is unmarked, or a later instance takes it over.
    Unmarked,
    /// The holder had a mark, which is now missing.
    Missing,
    /// Another copy of the store has replaced the mark.
    Foreign,
}

impl MarkHistory {
    /// Creates an empty history for an instance.
    pub(in crate::kms) const fn new(instance: [u8; 16]) -> Self {
        Self { instance, confirmed: false, moved: Timestamp::from_unix_millis(0), marks: Vec::new() }
    }

    pub(in crate::kms) fn record_id(holder: &str) -> RecordId {
        store_record_id(&[HISTORY_PREFIX, holder.as_bytes()].concat())
    }

    /// Records the next mark. Its generation is above all recorded ones and all in `found`.
    pub(in crate::kms) fn push(&mut self, nonce: [u8; 16], found: &[InstanceMark], now: Timestamp) {
        let last = self.marks.iter().chain(found).map(|mark| mark.generation).max().unwrap_or(0);
        if self.marks.len() == MAX_MARKS {
            // The first mark was found in the holder. Later marks may never have reached it.
            self.marks.remove(1);
        }
        self.marks.push(InstanceMark { generation: last.saturating_add(1), nonce });
        self.moved = now;
    }

    /// Removes all but the last mark, which was found in the holder.
    pub(in crate::kms) fn confirm(&mut self) {
        self.marks.drain(..self.marks.len().saturating_sub(1));
        self.confirmed = true;
    }

    /// Returns `true` if recording that the last mark was found is worth a commit.
    pub(in crate::kms) fn is_worth_confirming(&self) -> bool {
        !self.confirmed || self.marks.len() > MAX_MARKS / 4
    }

    /// Compares the history with the marks that were found. Only marks of the highest generation
    /// count, because a member that was offline may still hold an old one.
    pub(in crate::kms) fn verdict(&self, instance: &Instance, found: &[InstanceMark]) -> Verdict {
        if self.instance != instance.id {
            return Verdict::Unmarked;
        }
        let highest = found.iter().map(|mark| mark.generation).max();
        match (self.marks.first(), self.marks.last(), highest) {
            (None, _, None) | (_, None, None) => Verdict::Unmarked,
            (None, _, Some(_)) | (_, None, Some(_)) => Verdict::Foreign,
            (Some(_), Some(_), None) if self.confirmed => Verdict::Missing,
            (Some(_), Some(last), None) => Verdict::Behind(*last),
            (Some(first), Some(last), Some(highest)) => {
                let mut top = found.iter().filter(|mark| mark.generation == highest);
                let is_ours = top.all(|mark| self.marks.contains(mark));
                match highest {
                    _ if is_ours && highest == last.generation => Verdict::Current,
                    _ if is_ours || highest < first.generation => Verdict::Behind(*last),
                    _ => Verdict::Foreign,
                }
            }
        }
    }
}

impl StoredRecord for MarkHistory {
    const KIND: RecordKind = RecordKind::Store;

    fn is_named(id: &RecordId) -> bool {
        id.name.starts_with(HISTORY_PREFIX)
    }

    fn decode(_id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let mut history = Self::new(reader.array("instance id")?);
        history.confirmed = flag(&mut reader)?;
        history.moved = timestamp(&mut reader)?;
        for _ in 0..reader.u8("marks")? {
            let mark = InstanceMark::from_bytes(reader.array("mark")?);
            if history.marks.last().is_some_and(|last| last.generation >= mark.generation) {
                return Err(CodecError::Invalid { field: "order of marks" }.into());
            }
            history.marks.push(mark);
        }
        reader.finish()?;
        Ok(history)
    }
}

impl PlainRecord for MarkHistory {
    fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(32 + InstanceMark::LENGTH * self.marks.len());
        writer.u8(LAYOUT).bytes(&self.instance);
        put_flag(&mut writer, self.confirmed);
        put_timestamp(&mut writer, self.moved);
        writer.u8(u8::try_from(self.marks.len()).map_err(|_| CodecError::Invalid { field: "marks" })?);
        self.marks.iter().for_each(|mark| _ = writer.bytes(&mark.to_bytes()));
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: Instance = Instance { id: [7; 16], place: Some([8; 16]) };

    fn mark(generation: u64, nonce: u8) -> InstanceMark {
        InstanceMark { generation, nonce: [nonce; 16] }
    }

    fn history(marks: &[InstanceMark], confirmed: bool) -> MarkHistory {
        MarkHistory { confirmed, marks: marks.to_vec(), ..MarkHistory::new(INSTANCE.id) }
    }

    #[test]
    fn records_are_read_as_they_were_written_and_no_part_of_them_is() -> Result<()> {
        let id = Instance::record_id();
        for instance in [INSTANCE, Instance { place: None, ..INSTANCE }] {
            let bytes = instance.encode()?;
            let bytes = bytes.expose_secret();
            assert_eq!(Instance::decode(&id, bytes)?, instance);
            assert!((0..bytes.len()).all(|length| Instance::decode(&id, &bytes[..length]).is_err()));
            assert!(Instance::decode(&id, &[bytes, &[0]].concat()).is_err());
        }
        let id = MarkHistory::record_id("home");
        for history in [history(&[], false), history(&[mark(3, 1), mark(9, 2)], true)] {
            let bytes = history.encode()?;
            let bytes = bytes.expose_secret();
            assert_eq!(MarkHistory::decode(&id, bytes)?, history);
            assert!((0..bytes.len()).all(|length| MarkHistory::decode(&id, &bytes[..length]).is_err()));
            assert!(MarkHistory::decode(&id, &[bytes, &[0]].concat()).is_err());
        }
        let reversed = history(&[mark(9, 2), mark(3, 1)], true).encode()?;
        assert!(MarkHistory::decode(&id, reversed.expose_secret()).is_err(), "out of order");
        Ok(())
    }

    #[test]
    fn marks_say_who_was_the_last_to_move_them() {
        let ours = history(&[mark(4, 1), mark(5, 2), mark(6, 3)], true);
        let table: [(&str, &[InstanceMark], Verdict); 10] = [
            ("the last one", &[mark(6, 3)], Verdict::Current),
            ("an earlier one", &[mark(5, 2)], Verdict::Behind(mark(6, 3))),
            ("both", &[mark(5, 2), mark(6, 3)], Verdict::Current),
            ("a forgotten mark, on a member that was unreachable", &[mark(2, 9)], Verdict::Behind(mark(6, 3))),
            ("both this mark and the last one", &[mark(2, 9), mark(6, 3)], Verdict::Current),
            ("no mark remains", &[], Verdict::Missing),
            ("a later one", &[mark(7, 4)], Verdict::Foreign),
            ("a different mark of the same generation", &[mark(6, 4)], Verdict::Foreign),
            ("a different mark of the first known generation", &[mark(4, 9)], Verdict::Foreign),
            ("two of the same generation", &[mark(6, 3), mark(6, 4)], Verdict::Foreign),
        ];
        for (what, found, verdict) in table {
            assert_eq!(ours.verdict(&INSTANCE, found), verdict, "{what}");
        }
        let next = Instance { id: [9; 16], ..INSTANCE };
        assert_eq!(ours.verdict(&next, &[mark(7, 4)]), Verdict::Unmarked, "a successor takes over");
        assert_eq!(history(&[], false).verdict(&INSTANCE, &[]), Verdict::Unmarked);
        assert_eq!(history(&[], false).verdict(&INSTANCE, &[mark(1, 1)]), Verdict::Foreign);
        assert_eq!(history(&[mark(1, 1)], false).verdict(&INSTANCE, &[]), Verdict::Behind(mark(1, 1)));
    }

    #[test]
    fn a_store_is_elsewhere_only_if_both_places_are_known() {
        let (here, there) = (Some([8; 16]), Some([9; 16]));
        let unplaced = Instance { place: None, ..INSTANCE };
        for (instance, place, is_at) in [
            (INSTANCE, here, true),
            (INSTANCE, there, false),
            (INSTANCE, None, true),
            (unplaced, here, true),
            (unplaced, None, true),
        ] {
            assert_eq!(instance.is_at(place), is_at, "{instance:?} {place:?}");
        }
    }

    #[test]
    fn a_mark_is_confirmed_the_first_time_and_once_the_history_is_long() {
        let marks = |count: u64| (1..=count).map(|generation| mark(generation, 1)).collect::<Vec<_>>();
        assert!(history(&marks(1), false).is_worth_confirming());
        let few = u64::try_from(MAX_MARKS / 4).expect("few");
        for (count, is_worth) in [(1, false), (few, false), (few + 1, true), (4 * few, true)] {
            assert_eq!(history(&marks(count), true).is_worth_confirming(), is_worth, "{count}");
        }
    }

    #[test]
    fn a_mark_that_was_found_is_never_pushed_out_of_the_history() {
        let mut ours = history(&[mark(1, 1)], true);
        for step in 0..200 {
            ours.push([step; 16], &[], Timestamp::from_unix_millis(5));
        }
        assert_eq!(
            (ours.marks.len(), ours.marks[0], ours.marks[MAX_MARKS - 1]),
            (MAX_MARKS, mark(1, 1), mark(201, 199))
        );
        assert_eq!(ours.verdict(&INSTANCE, &[mark(1, 1)]), Verdict::Behind(mark(201, 199)));
        ours.confirm();
        assert_eq!(ours.marks, [mark(201, 199)]);
        ours.push([0; 16], &[mark(500, 0)], Timestamp::from_unix_millis(5));
        assert_eq!(ours.marks[1].generation, 501);
    }
}
