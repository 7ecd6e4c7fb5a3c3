//! Thousands of connections at the same time. The server is a separate process, so that its
//! memory can be measured.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::process::{Program, Running};

/// The limit of connections of the server in the short version.
const SHORT_LIMIT: usize = 300;
/// The memory that a connection may use, with the buffers of a request: twice the measured amount.
const KIB_PER_CONNECTION: usize = 64;

/// Returns the size of the crowd and the limit of the server. The long version has 10,000
/// connections, and the limit is the default.
fn sizes() -> (usize, usize) {
    match std::env::var("STRONGROOM_CONNECTIONS") {
        Ok(text) => (text.parse().unwrap(), 4_096),
        Err(_) => (900, SHORT_LIMIT),
    }
}

/// Lets this process open as many files as the operator allows.
fn raise_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

fn connect(running: &Running) -> TcpStream {
    let stream = TcpStream::connect(running.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

fn resident_kib(running: &Running) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Returns the bytes that a connection of the crowd sends: nothing, a part of the headers, or a part of the body.
fn beginning(number: usize) -> String {
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\n";
    match number % 3 {
        0 => String::new(),
        1 => head.to_owned(),
        _ => {
            format!("{head}X-Amz-Target: TrentService.ListKeys\r\nContent-Length: 8000\r\n\r\n{{{}", " ".repeat(4_000))
        }
    }
}

/// Sends a call on a connection with keep-alive. Returns `false` if the server has closed it.
fn call(stream: &mut TcpStream) -> bool {
    let request = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\n\
                   X-Amz-Target: TrentService.ListKeys\r\nContent-Length: 2\r\n\r\n{}";
    let mut buffer = [0; 4_096];
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read(&mut buffer).is_ok_and(|length| buffer[..length].starts_with(b"HTTP/1.1 200 OK"))
}

#[test]
fn a_crowd_of_connections_keeps_nobody_out() {
    if !cfg!(target_os = "linux") {
        return;
    }
    raise_limit();
    let (size, limit) = sizes();
    let program = Program::new();
    let running = program.serve(&["--insecure-local", "--max-connections", &limit.to_string()]);
    assert!(call(&mut connect(&running)));
    let before = resident_kib(&running);

    let started = Instant::now();
    let crowd: Vec<TcpStream> = (0..size)
        .map(|number| {
            let mut stream = connect(&running);
            // The server may need the place already.
            let _ = stream.write_all(beginning(number).as_bytes());
            stream
        })
        .collect();
    // A new client is answered, while the crowd is connected, and others may come.
    let new = Instant::now();
    assert!(call(&mut connect(&running)), "a new client is not answered");
    assert!(new.elapsed() < Duration::from_secs(60), "a new client waited for {:?}", new.elapsed());
    let used = resident_kib(&running).saturating_sub(before);
    println!("{size} connections in {:?}: {used} KiB for {} places", started.elapsed(), limit.min(size));
    assert!(used < limit * KIB_PER_CONNECTION + 32 * 1_024, "{used} KiB");
    drop(crowd);

    // Clients that are active keep their connections while others come and go.
    let mut active: Vec<TcpStream> = Vec::new();
    for _ in 0..SHORT_LIMIT / 2 {
        active.push(connect(&running));
        assert!(active.last_mut().is_some_and(call), "a new client is not answered");
    }
    for _ in 0..3 {
        for _ in 0..SHORT_LIMIT / 4 {
            drop(connect(&running));
        }
        for stream in &mut active {
            assert!(call(stream), "the connection of an active client was closed");
        }
    }
    let (status, body) = running.call("ListKeys", "{}").unwrap();
    assert_eq!(status, 200, "{body}");
    running.stop("TERM");
}
