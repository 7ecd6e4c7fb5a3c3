//! Copies of volumes, and storages that fail or do not fit.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use strongroom::ErrorKind;
use strongroom::volumes::{
    SectorSize, Volume, VolumeError, VolumeGeometry, VolumeId, VolumeKey, VolumeKeys, VolumeStorage,
};

use super::support::{SECTOR_SIZES, Setup, TestResult, fixed_key, pattern};

type Memory = Cursor<Vec<u8>>;

fn volume(key: &VolumeKey, sector_size: SectorSize, size: u64) -> TestResult<Volume<Memory>> {
    Ok(Volume::builder(key, VolumeGeometry::new(sector_size, size)?).create(Cursor::new(Vec::new()))?)
}

fn content(volume: &mut Volume<Memory>) -> TestResult<Vec<u8>> {
    let mut read = vec![1; usize::try_from(volume.geometry().size())?];
    volume.read_at(0, &mut read)?;
    Ok(read)
}

#[test]
fn copies_have_the_same_content_under_another_key() -> TestResult {
    const SIZE: u64 = (2 << 20) + 512;
    let setup = Setup::new(SectorSize::Bytes512, SIZE)?;
    for destination_sectors in SECTOR_SIZES {
        let mut source = volume(&setup.attach()?, SectorSize::Bytes512, SIZE)?;
        source.write_at(0, &pattern(100_000, 1))?;
        source.write_at((1 << 20) - 700, &pattern(5_000, 2))?;
        source.write_at(SIZE - 3, b"end")?;
        let snapshot = VolumeId::parse("snap-1")?;
        let keys = VolumeKeys::new(&setup.kms, setup.kms.create_key(Default::default())?.key_id())?;
        let size = SIZE.next_multiple_of(4_096);
        let header = keys.create(&snapshot, VolumeGeometry::new(destination_sectors, size)?)?;
        let mut copy = volume(&keys.attach(&header, &snapshot)?, destination_sectors, size)?;
        copy.write_at(500_000, b"earlier content")?;

        let copied = source.copy_to(&mut copy)?;
        assert!((105_003..130_000).contains(&copied), "{copied} bytes were copied");
        let mut expected = content(&mut source)?;
        expected.resize(usize::try_from(size)?, 0);
        assert!(content(&mut copy)? == expected, "{destination_sectors:?}");
        let (one, other) = (source.into_storage().into_inner(), copy.into_storage().into_inner());
        let equal = one.chunks(512).zip(other.chunks(512)).filter(|(one, other)| one == other && one[0] != 0).count();
        assert_eq!(equal, 0, "ciphertext was copied");
        assert!(other[600_000..700_000].iter().all(|byte| *byte == 0), "unused sectors are in use in the copy");
    }
    Ok(())
}

#[test]
fn rewrapped_volumes_have_the_same_bytes() -> TestResult {
    let setup = Setup::new(SectorSize::Bytes4096, 1 << 20)?;
    let mut source = volume(&setup.attach()?, SectorSize::Bytes4096, 1 << 20)?;
    source.write_at(77, b"a snapshot of the same bytes")?;
    let storage = source.into_storage();

    let archive = setup.kms.create_key(Default::default())?.key_id();
    let snapshot = VolumeId::parse("snap-1")?;
    let header = setup.keys.rewrap(&setup.header, &setup.id, archive, &snapshot)?;
    assert_eq!(header.key_arn().key_id(), archive);
    setup.kms.disable_key(setup.key)?;
    let key = VolumeKeys::new(&setup.kms, archive)?.attach(&header, &snapshot)?;
    let mut opened = Volume::builder(&key, header.geometry()).open(storage)?;
    let mut read = [0; 28];
    opened.read_at(77, &mut read)?;
    assert_eq!(&read, b"a snapshot of the same bytes");

    let other = VolumeId::parse("vol-2")?;
    let refused = setup.keys.rewrap(&setup.header, &other, archive, &snapshot).unwrap_err();
    assert_eq!(refused.downcast_ref(), Some(&VolumeError::OtherVolume));
    let refused = setup.keys.rewrap(&setup.header, &setup.id, archive, &snapshot).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Disabled);
    Ok(())
}

#[test]
fn destinations_that_are_too_small_stay_unchanged() -> TestResult {
    let (mut source, mut small) =
        (volume(&fixed_key(), SectorSize::Bytes512, 8_192)?, volume(&fixed_key(), SectorSize::Bytes512, 4_096)?);
    source.write_at(0, &[7; 8_192])?;
    let refused = source.copy_to(&mut small).unwrap_err();
    assert_eq!(refused.downcast_ref(), Some(&VolumeError::OutOfRange { offset: 0, length: 8_192, size: 4_096 }));
    assert_eq!(small.into_storage().into_inner(), vec![0; 4_096]);
    Ok(())
}

#[test]
fn ranges_beyond_the_volume_change_nothing() -> TestResult {
    let mut volume = volume(&fixed_key(), SectorSize::Bytes512, 4_096)?;
    for (offset, length) in [(4_096, 1), (4_000, 97), (0, 4_097), (u64::MAX, 1), (u64::MAX - 3, 8)] {
        let expected = Some(VolumeError::OutOfRange { offset, length, size: 4_096 });
        let mut data = vec![7; usize::try_from(length)?];
        let errors = [
            volume.write_at(offset, &data).unwrap_err(),
            volume.read_at(offset, &mut data).unwrap_err(),
            volume.discard(offset, length).unwrap_err(),
            volume.write_zeros(offset, length).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.downcast_ref().copied(), expected);
            assert_eq!(error.kind(), ErrorKind::Validation);
        }
    }
    volume.write_at(4_096, &[])?;
    assert_eq!(volume.resize(100).unwrap_err().downcast_ref(), Some(&VolumeError::Size { bytes: 100 }));
    assert_eq!(volume.into_storage().into_inner(), vec![0; 4_096]);
    Ok(())
}

#[test]
fn streams_end_with_the_volume() -> TestResult {
    let mut volume = volume(&fixed_key(), SectorSize::Bytes512, 4_096)?;
    assert_eq!(volume.seek(SeekFrom::End(-10))?, 4_086);
    assert_eq!(volume.write(&[7; 20])?, 10);
    assert_eq!(volume.write_all(&[7]).unwrap_err().kind(), io::ErrorKind::WriteZero);
    assert_eq!(volume.seek(SeekFrom::Current(-4))?, 4_092);
    let mut read = Vec::new();
    volume.read_to_end(&mut read)?;
    assert_eq!(read, [7; 4]);
    assert_eq!(volume.seek(SeekFrom::Start(1 << 40))?, 1 << 40);
    assert_eq!(volume.read(&mut [0; 4])?, 0);
    assert_eq!(volume.seek(SeekFrom::Current(i64::MIN)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    Ok(())
}

/// A storage that fails after a number of bytes were written.
struct Failing {
    inner: Memory,
    left: usize,
}

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl Write for Failing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"));
        }
        let count = self.inner.write(&data[..data.len().min(self.left)])?;
        self.left -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Failing {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

impl VolumeStorage for Failing {
    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        self.inner.set_length(bytes)
    }

    fn synchronize(&mut self) -> io::Result<()> {
        Err(io::Error::other("the disk is gone"))
    }
}

#[test]
fn failures_of_the_storage_are_reported_and_leave_other_sectors() -> TestResult {
    let mut good = volume(&fixed_key(), SectorSize::Bytes512, 64 << 10)?;
    good.write_at(0, &pattern(64 << 10, 3))?;
    let geometry = good.geometry();
    let storage = Failing { inner: good.into_storage(), left: 2_048 };
    let mut failing = Volume::builder(&fixed_key(), geometry).open(storage)?;
    let error = failing.write_at(1_000, &[7; 10_000]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(error.to_string(), "cannot write the volume");
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::StorageFull);
    assert!(failing.flush().is_err());

    let mut reopened = Volume::builder(&fixed_key(), geometry).open(failing.into_storage().inner)?;
    let mut expected = pattern(64 << 10, 3);
    // One sector was read, changed and written, and three more of the next write.
    expected[1_000..2_560].fill(7);
    assert!(content(&mut reopened)? == expected);
    Ok(())
}

#[test]
fn copies_that_cannot_be_made_durable_are_reported() -> TestResult {
    let mut source = volume(&fixed_key(), SectorSize::Bytes512, 64 << 10)?;
    source.write_at(1_000, &pattern(5_000, 4))?;
    let geometry = source.geometry();
    let storage = Failing { inner: Cursor::new(vec![0; 64 << 10]), left: usize::MAX };
    let mut copy = Volume::builder(&fixed_key(), geometry).open(storage)?;
    let error = source.copy_to(&mut copy).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Io, "cannot flush the volume"));
    Ok(())
}
