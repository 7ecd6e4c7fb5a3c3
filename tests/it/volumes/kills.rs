//! Processes that are killed while they write to a volume.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{env, io};

use strongroom::volumes::{SectorSize, Volume, VolumeGeometry};

use super::support::{TestResult, fixed_key, pattern};
use crate::support::child_process::{STORE, child, fast_folder};

const CHILD: &str = "volumes::kills::writes_until_killed";
const SIZE: usize = 4 << 20;
/// The range that the child writes: it begins and ends within sectors.
const START: usize = (1 << 20) + 1_000;
const END: usize = (3 << 20) + 100;
const KILLS: u8 = 8;

fn open(folder: &Path, sector_size: SectorSize) -> TestResult<Volume<File>> {
    let file = OpenOptions::new().read(true).write(true).open(folder.join("volume"))?;
    let geometry = VolumeGeometry::new(sector_size, u64::try_from(SIZE)?)?;
    Ok(Volume::builder(&fixed_key(), geometry).open(file)?)
}

fn sector_size(folder: &Path) -> SectorSize {
    if folder.join("small").exists() { SectorSize::Bytes512 } else { SectorSize::Bytes4096 }
}

#[test]
#[ignore = "run only as the child process of a crash test"]
fn writes_until_killed() -> TestResult {
    let folder = PathBuf::from(env::var_os(STORE).ok_or("run only by a crash test")?);
    let mut volume = open(&folder, sector_size(&folder))?;
    for generation in (1..=u8::MAX).cycle() {
        volume.write_at(u64::try_from(START)?, &vec![generation; END - START])?;
        eprintln!("written {generation}");
    }
    Ok(())
}

/// Lets a child write, and kills it during the generation after the reported number of writes.
fn kill_after(folder: &Path, writes: u8) -> io::Result<()> {
    let mut process = child(CHILD, folder)?.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let stderr = process.stderr.take().expect("a pipe");
    // Read by reference: a closed pipe would end the child.
    let mut written = BufReader::new(stderr).lines().map_while(Result::ok).filter(|line| line.contains("written "));
    let seen = written.by_ref().take(usize::from(writes)).count();
    process.kill()?;
    process.wait()?;
    assert_eq!(seen, usize::from(writes), "the child ended early");
    Ok(())
}

#[test]
fn killed_writers_leave_other_sectors_and_parts_of_sectors_intact() -> TestResult {
    for size in [SectorSize::Bytes512, SectorSize::Bytes4096] {
        let folder = fast_folder()?;
        File::create(folder.path().join("volume"))?.set_len(u64::try_from(SIZE)?)?;
        if size == SectorSize::Bytes512 {
            File::create(folder.path().join("small"))?;
        }
        let initial = pattern(SIZE, 5);
        open(folder.path(), size)?.write_at(0, &initial)?;
        for writes in 1..=KILLS {
            kill_after(folder.path(), writes)?;
            let mut read = vec![0; SIZE];
            open(folder.path(), size)?.read_at(0, &mut read)?;
            assert!(read[..START] == initial[..START] && read[END..] == initial[END..], "other bytes changed");
            // Each sector contains one generation, in which it was written completely.
            let mut start = START;
            while start < END {
                let end = ((start / size.bytes() + 1) * size.bytes()).min(END);
                assert!(read[start..end].iter().all(|byte| *byte == read[start]), "a mixed sector at {start}");
                start = end;
            }
        }
    }
    Ok(())
}
