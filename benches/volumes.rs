//! Volumes: `volume/<read or write>/<bytes>/<sector size>`, over a buffer in memory, on one thread.
//! The rows `volume/raw-<decrypt or encrypt>/<bytes>/<sector size>` measure `xts-mode` alone, in
//! place over the same bytes. `volume/<read or write>/<bytes>/<sector size>/unaligned` begins and
//! ends within sectors, and `/2-threads` uses two threads.
//!
//! Creating and attaching a volume: `volume/create` and `volume/attach`.

use std::error::Error;
use std::hint::black_box;
use std::io::Cursor;
use std::num::NonZeroUsize;

use aes::Aes256;
use aes::cipher::KeyInit;
use criterion::{Criterion, Throughput};
use strongroom::Kms;
use strongroom::volumes::{SectorSize, Volume, VolumeGeometry, VolumeId, VolumeKeys};
use xts_mode::{Xts128, get_tweak_default};

/// The lengths of the transfers in bytes.
const LENGTHS: [usize; 3] = [4 << 10, 128 << 10, 4 << 20];

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let kms = Kms::in_memory()?;
    let keys = VolumeKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
    let id = VolumeId::parse("vol-1")?;
    for sector_size in [SectorSize::Bytes512, SectorSize::Bytes4096] {
        let header = keys.create(&id, VolumeGeometry::new(sector_size, 8 << 20)?)?;
        let key = keys.attach(&header, &id)?;
        let (data_key, tweak_key) = key.expose_secret().split_at(32);
        let raw = Xts128::new(Aes256::new_from_slice(data_key)?, Aes256::new_from_slice(tweak_key)?);
        let volume = |threads| {
            let builder = Volume::builder(&key, header.geometry()).threads(threads);
            let mut volume = builder.create(Cursor::new(Vec::new()))?;
            volume.write_zeros(0, 8 << 20)?; // discarded sectors would not be decrypted
            Ok::<_, strongroom::Error>(volume)
        };
        let (mut one, mut two) = (volume(NonZeroUsize::MIN)?, volume(NonZeroUsize::new(2).ok_or("two")?)?);
        let sector = sector_size.bytes();
        let mut group = criterion.benchmark_group("volume");
        for length in LENGTHS {
            let mut data = vec![0xa5; length];
            group.throughput(Throughput::Bytes(u64::try_from(length)?));
            group.sample_size(if length < 1 << 20 { 100 } else { 20 });
            let step = u128::try_from(sector / 512)?;
            let tweak = |index| get_tweak_default(index * step);
            group.bench_function(format!("raw-encrypt/{length}/{sector}"), |bencher| {
                bencher.iter(|| raw.encrypt_area(black_box(&mut data), sector, 0, tweak));
            });
            group.bench_function(format!("write/{length}/{sector}"), |bencher| {
                bencher.iter(|| one.write_at(0, black_box(&data)));
            });
            group.bench_function(format!("raw-decrypt/{length}/{sector}"), |bencher| {
                bencher.iter(|| raw.decrypt_area(black_box(&mut data), sector, 0, tweak));
            });
            group.bench_function(format!("read/{length}/{sector}"), |bencher| {
                bencher.iter(|| one.read_at(0, black_box(&mut data)));
            });
            group.bench_function(format!("write/{length}/{sector}/unaligned"), |bencher| {
                bencher.iter(|| one.write_at(100, black_box(&data)));
            });
            group.bench_function(format!("read/{length}/{sector}/unaligned"), |bencher| {
                bencher.iter(|| one.read_at(100, black_box(&mut data)));
            });
        }
        let mut data = vec![0xa5; LENGTHS[2]];
        group.bench_function(format!("write/{}/{sector}/2-threads", LENGTHS[2]), |bencher| {
            bencher.iter(|| two.write_at(0, black_box(&data)));
        });
        group.bench_function(format!("read/{}/{sector}/2-threads", LENGTHS[2]), |bencher| {
            bencher.iter(|| two.read_at(0, black_box(&mut data)));
        });
        group.finish();
    }
    let geometry = VolumeGeometry::new(SectorSize::Bytes4096, 8 << 20)?;
    let header = keys.create(&id, geometry)?;
    criterion.bench_function("volume/create", |bencher| bencher.iter(|| keys.create(&id, geometry)));
    criterion.bench_function("volume/attach", |bencher| bencher.iter(|| keys.attach(&header, &id)));
    criterion.final_summary();
    Ok(())
}
