//! Random operations on a volume and on a plain vector, which must agree.

use std::io::Cursor;
use std::num::NonZeroUsize;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use strongroom::volumes::{SectorSize, Volume, VolumeGeometry};

use super::support::{TestResult, fixed_key, pattern};

/// The largest volume of a test in bytes. Some operations are long enough for several threads.
const MAX_SIZE: usize = 1 << 20;

/// An operation. Offsets and lengths are reduced to what the volume has.
#[derive(Clone, Debug)]
enum Action {
    Write { offset: usize, length: usize, seed: u32 },
    Read { offset: usize, length: usize },
    Discard { offset: usize, length: usize },
    WriteZeros { offset: usize, length: usize },
    Resize { sectors: usize },
    Reopen { threads: usize },
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let length = || prop_oneof![4 => 0..600_usize, 4 => 0..20_000_usize, 1 => 0..MAX_SIZE];
    let offset = || 0..MAX_SIZE;
    let action = prop_oneof![
        6 => (offset(), length(), any::<u32>()).prop_map(|(offset, length, seed)| Action::Write { offset, length, seed }),
        4 => (offset(), length()).prop_map(|(offset, length)| Action::Read { offset, length }),
        2 => (offset(), length()).prop_map(|(offset, length)| Action::Discard { offset, length }),
        1 => (offset(), length()).prop_map(|(offset, length)| Action::WriteZeros { offset, length }),
        1 => (0..MAX_SIZE / 512).prop_map(|sectors| Action::Resize { sectors }),
        1 => (1..4_usize).prop_map(|threads| Action::Reopen { threads }),
    ];
    vec(action, 1..24)
}

/// A volume and the bytes that it should contain.
struct Pair {
    volume: Volume<Cursor<Vec<u8>>>,
    model: Vec<u8>,
    offset: u64,
    sector: usize,
}

impl Pair {
    fn new(sector_size: SectorSize, offset: u64, size: usize) -> TestResult<Self> {
        let geometry = VolumeGeometry::new(sector_size, u64::try_from(size)?)?;
        // Whatever was in the storage must neither appear nor vanish outside of the volume.
        let storage = Cursor::new(vec![0xaa; 4_096]);
        let volume = Volume::builder(&fixed_key(), geometry).offset(offset).create(storage)?;
        Ok(Self { volume, model: vec![0; size], offset, sector: sector_size.bytes() })
    }

    /// Reduces a range to the volume.
    fn range(&self, offset: usize, length: usize) -> (u64, std::ops::Range<usize>) {
        let start = offset.min(self.model.len());
        let end = (start + length).min(self.model.len());
        (u64::try_from(start).expect("a small number"), start..end)
    }

    fn apply(&mut self, action: &Action) -> TestResult {
        match *action {
            Action::Write { offset, length, seed } => {
                let (offset, range) = self.range(offset, length);
                let data = pattern(range.len(), seed);
                self.volume.write_at(offset, &data)?;
                self.model[range].copy_from_slice(&data);
            }
            Action::Read { offset, length } => {
                let (offset, range) = self.range(offset, length);
                let mut read = vec![1; range.len()];
                self.volume.read_at(offset, &mut read)?;
                assert!(read == self.model[range], "other data were read");
            }
            Action::Discard { offset, length } => {
                let (offset, range) = self.range(offset, length);
                let discarded = self.volume.discard(offset, u64::try_from(range.len())?)?;
                let sectors = range.start.next_multiple_of(self.sector)..range.end / self.sector * self.sector;
                assert_eq!(discarded, u64::try_from(sectors.len())?);
                if !sectors.is_empty() {
                    self.model[sectors].fill(0);
                }
            }
            Action::WriteZeros { offset, length } => {
                let (offset, range) = self.range(offset, length);
                self.volume.write_zeros(offset, u64::try_from(range.len())?)?;
                self.model[range].fill(0);
            }
            Action::Resize { sectors } => {
                let size = sectors * 512 / self.sector * self.sector;
                self.volume.resize(u64::try_from(size)?)?;
                self.model.resize(size, 0);
            }
            Action::Reopen { .. } => unreachable!("it consumes the volume"),
        }
        Ok(())
    }

    fn reopen(self, threads: usize) -> TestResult<Self> {
        let geometry = self.volume.geometry();
        let threads = NonZeroUsize::new(threads).ok_or("a thread")?;
        let key = fixed_key();
        let builder = Volume::builder(&key, geometry).offset(self.offset).threads(threads);
        Ok(Self { volume: builder.open(self.volume.into_storage())?, ..self })
    }
}

fn check(sector_size: SectorSize, offset: u64, actions: &[Action]) -> TestResult {
    let mut pair = Pair::new(sector_size, offset, 256 << 10)?;
    for action in actions {
        match *action {
            Action::Reopen { threads } => pair = pair.reopen(threads)?,
            ref action => pair.apply(action)?,
        }
    }
    pair.apply(&Action::Read { offset: 0, length: MAX_SIZE })?;
    let storage = pair.volume.into_storage().into_inner();
    let before = usize::try_from(offset)?.min(4_096);
    assert!(storage[..before].iter().all(|byte| *byte == 0xaa), "bytes before the volume changed");
    Ok(())
}

#[test]
fn volumes_agree_with_a_plain_vector() {
    let input = (any::<bool>(), prop_oneof![0..5_000_u64, 0..1_u64], actions());
    let config = Config { cases: 96, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&input, |(is_small, offset, actions)| {
        let sector_size = if is_small { SectorSize::Bytes512 } else { SectorSize::Bytes4096 };
        check(sector_size, offset, &actions)
            .map_err(|error| proptest::test_runner::TestCaseError::fail(error.to_string()))
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn several_threads_write_the_same_bytes_as_one() -> TestResult {
    for sector_size in [SectorSize::Bytes512, SectorSize::Bytes4096] {
        let geometry = VolumeGeometry::new(sector_size, 2 << 20)?;
        let (key, data) = (fixed_key(), pattern((2 << 20) - 3_000, 9));
        let mut storages = Vec::new();
        for threads in [1, 2, 3, 7] {
            let threads = NonZeroUsize::new(threads).ok_or("a thread")?;
            let builder = Volume::builder(&key, geometry).threads(threads);
            let mut volume = builder.create(Cursor::new(Vec::new()))?;
            volume.write_at(1_111, &data)?;
            let mut read = vec![0; data.len()];
            volume.read_at(1_111, &mut read)?;
            assert!(read == data);
            storages.push(volume.into_storage());
        }
        assert!(storages.windows(2).all(|pair| pair[0] == pair[1]));
    }
    Ok(())
}
