//! The volume that the clients of the example `nbd_volume` share.

use std::thread;

use strongroom::SecretBytes;
use strongroom::volumes::{SectorSize, Volume, VolumeGeometry, VolumeKey};

use self::export::{Export, MAX_TRANSFER, discard_to_zeros};
use super::support::TestResult;

#[path = "../../../examples/nbd_volume/export.rs"]
mod export;

#[test]
fn a_volume_is_not_used_after_a_panic_in_the_middle_of_a_request() -> TestResult {
    let key = VolumeKey::from_secret(SecretBytes::from_vec((0..64).collect()))?;
    let geometry = VolumeGeometry::new(SectorSize::Bytes512, 64 << 10)?;
    let export = Export::new(Volume::builder(&key, geometry).create(tempfile::tempfile()?)?);
    assert_eq!((export.size, export.block_size), (64 << 10, 512));
    assert!(export.size < u64::from(MAX_TRANSFER));

    let mut volume = export.lock().ok_or("a volume")?;
    volume.write_at(0, &[7; 2_048])?;
    discard_to_zeros(&mut volume, 100, 1_000)?;
    let mut read = [1; 2_048];
    volume.read_at(0, &mut read)?;
    assert!(read.iter().enumerate().all(|(offset, byte)| *byte == u8::from(!(100..1_100).contains(&offset)) * 7));
    drop(volume);

    let panicked = thread::scope(|scope| {
        let request = scope.spawn(|| {
            let _volume = export.lock();
            panic!("in the middle of a request");
        });
        request.join().is_err()
    });
    assert!(panicked && export.lock().is_none());
    Ok(())
}
