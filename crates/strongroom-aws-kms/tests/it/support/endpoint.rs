//! An HTTP server that answers as a test wants: with faults, or as a Region that has replicas of keys.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use strongroom::{Kms, wire};

/// A running endpoint. Dropping it refuses further connections.
pub(crate) struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    handler: Box<dyn Fn(&Request) -> Answer + Send + Sync>,
    requests: Mutex<Vec<Request>>,
    abandoned: AtomicUsize,
    stopped: AtomicBool,
}

/// A request of the AWS KMS API, or of another.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The operation of AWS KMS. Of another API, the method and the path.
    pub(crate) operation: String,
    pub(crate) body: String,
    #[allow(dead_code, reason = "tests of another package use it")]
    pub(crate) headers: Vec<(String, String)>,
}

pub(crate) enum Answer {
    /// A status, a content type, and a body.
    Reply(u16, &'static str, Vec<u8>),
    /// The connection is closed without an answer.
    Close,
    /// A part of an answer, and then the end of the connection.
    Cut,
    /// No answer, until the client closes the connection.
    Hang,
}

impl Answer {
    /// Returns an exception of AWS.
    pub(crate) fn exception(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"__type": code, "message": message}).to_string();
        Self::Reply(status, "application/x-amz-json-1.1", body.into_bytes())
    }

    /// Returns the answer of a KMS.
    pub(crate) fn of(kms: &Kms, request: &Request) -> Self {
        let reply = wire::call(kms, &request.operation, request.body.as_bytes());
        Self::Reply(reply.status(), "application/x-amz-json-1.1", reply.body().to_vec())
    }
}

impl Endpoint {
    pub(crate) fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            requests: Mutex::default(),
            abandoned: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// Starts the endpoint of a Region that has a replica of a multi-Region key. Its material is that
    /// of a key of the KMS.
    pub(crate) fn region(kms: &Kms, key: &str, replica: &str) -> Self {
        let (kms, key, replica) = (kms.clone(), key.to_owned(), replica.to_owned());
        Self::start(move |request| {
            let request = Request { body: request.body.replace(&replica, &key), ..request.clone() };
            match Answer::of(&kms, &request) {
                Answer::Reply(status, kind, body) => {
                    let body = String::from_utf8(body).unwrap().replace(&key, &replica);
                    Answer::Reply(status, kind, body.into_bytes())
                }
                other => other,
            }
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Returns the number of connections that clients closed while they waited for an answer.
    pub(crate) fn abandoned(&self) -> usize {
        self.shared.abandoned.load(Ordering::SeqCst)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts connections.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    /// Answers the requests of a connection until it ends.
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        while let Some(request) = read(&mut reader) {
            self.requests.lock().unwrap().push(request.clone());
            let answer = (self.handler)(&request);
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let (status, kind, body, length) = match answer {
                Answer::Close => return,
                Answer::Hang => {
                    let closed = reader.read(&mut [0]);
                    self.abandoned.fetch_add(usize::from(matches!(closed, Ok(0) | Err(_))), Ordering::SeqCst);
                    return;
                }
                Answer::Cut => (200, "application/x-amz-json-1.1", b"{\"Plaintext\":".to_vec(), 400),
                Answer::Reply(status, kind, body) => {
                    let length = body.len();
                    (status, kind, body, length)
                }
            };
            let head = format!("HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
            if writer.write_all(&[head.as_bytes(), &body].concat()).is_err() || length > body.len() {
                return;
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let (mut first, mut headers, mut length) = (String::new(), Vec::new(), 0);
    reader.read_line(&mut first).ok()?;
    let mut operation = first.rsplit_once(' ')?.0.to_owned();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => operation = value.trim().trim_start_matches("TrentService.").to_owned(),
            "content-length" => length = value.trim().parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { operation, body: String::from_utf8(body).unwrap(), headers })
}
