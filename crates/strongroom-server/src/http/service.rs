//! The routes, and the steps of a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use uuid::Uuid;

use super::activity::InFlight;
use super::answer::{Answer, Protocol, THROTTLING};
use super::body::{self, Incomplete, ResponseBody};
use super::call::Call;
use super::state::State;
use super::workers::NotRun;
use crate::metrics::{self, RequestResult};
use crate::signature::is_presigned;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const RETRY_AFTER: HeaderName = HeaderName::from_static("x-amz-retry-after");
/// The size up to which the body of a refused request is read, so that the connection can be used
/// again.
const MAX_DISCARDED: u64 = 64 << 10;

/// Answers a request. Every outcome is a response, with the ID of the request.
pub(super) async fn respond(
    state: Arc<State>,
    peer: SocketAddr,
    request: Request<Incoming>,
    in_flight: &InFlight,
) -> Response<ResponseBody> {
    let started = Instant::now();
    let id = Uuid::new_v4().to_string();
    let is_http1 = request.version() < hyper::Version::HTTP_2;
    let is_call = request.uri().path() == "/";
    let context = Context { state: &state, peer, id: &id, in_flight };
    let answer = context.route(request).await;
    if answer.close && is_http1 {
        in_flight.leave_input();
    }
    if is_call {
        context.record(&answer, started);
    }
    response(answer, &id, is_http1)
}

/// A request, without its content.
struct Context<'a> {
    state: &'a Arc<State>,
    peer: SocketAddr,
    id: &'a str,
    in_flight: &'a InFlight,
}

impl Context<'_> {
    async fn route(&self, request: Request<Incoming>) -> Answer {
        let Self { state, peer, id, .. } = *self;
        let sees_metrics = state.metrics_for_all || peer.ip().to_canonical().is_loopback();
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/health") if state.is_healthy() => Answer::text(StatusCode::OK, "ok\n"),
            (&Method::GET | &Method::HEAD, "/health") => Answer::text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
            (&Method::GET | &Method::HEAD, "/metrics") if sees_metrics => {
                Answer::new(StatusCode::OK, metrics::CONTENT_TYPE, state.metrics.page())
            }
            (&Method::POST, "/") => self.perform(request).await,
            (&Method::GET, "/") if is_presigned(request.uri().query()) => self.perform(request).await,
            (_, path) => {
                let allow = match path {
                    "/" => Some("POST"),
                    "/health" => Some("GET, HEAD"),
                    "/metrics" if sees_metrics => Some("GET, HEAD"),
                    _ => None,
                };
                let status = allow.map_or(StatusCode::NOT_FOUND, |_| StatusCode::METHOD_NOT_ALLOWED);
                let text =
                    "The server answers POST / (AWS KMS, STS and the Parameter Store), GET /health and GET /metrics.";
                let answer = Answer::exception(Protocol::Json, status, "UnknownOperationException", text, id);
                self.discard_body(request, Answer { allow, ..answer }).await
            }
        }
    }

    /// Reads the body of a refused request, so that the connection can be used again. If the body is
    /// large, or the client waits for permission to send it, the connection is closed instead.
    async fn discard_body(&self, request: Request<Incoming>, answer: Answer) -> Answer {
        let waits = request.headers().contains_key(header::EXPECT);
        let body = request.into_body();
        if body.is_end_stream() {
            return answer;
        }
        if waits || body.size_hint().lower() > MAX_DISCARDED {
            return answer.closing();
        }
        let Some(mut share) = self.state.budget.request() else { return answer.closing() };
        match body::read(body, &self.state.limits, &mut share).await {
            Ok(_) => answer,
            Err(_) => answer.closing(),
        }
    }

    async fn perform(&self, request: Request<Incoming>) -> Answer {
        let Self { state, peer, id, in_flight } = *self;
        let Some(protocol) = protocol(&request) else {
            let text = "The Content-Type must be application/x-amz-json-1.1 (AWS KMS and the Parameter Store), or a form (STS).";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let answer = Answer::exception(Protocol::Json, status, "SerializationException", text, id);
            return self.discard_body(request, answer).await;
        };
        let Some(mut share) = state.budget.request() else {
            return Answer::throttled(protocol, id).closing();
        };
        let (parts, incoming) = request.into_parts();
        let body = match body::read(incoming, &state.limits, &mut share).await {
            Ok(body) => body,
            Err(incomplete) => return refuse_body(protocol, &incomplete, state.limits.body_bytes, id).closing(),
        };
        let call = Call { protocol, parts, body, peer: peer.ip(), request_id: id.to_owned(), _share: share };
        let failure_name = call.failure_name();
        let shared = Arc::clone(state);
        let _calling = in_flight.call();
        match state.workers.run(move || call.run(&shared)).await {
            Ok(answer) => answer,
            Err(NotRun::QueueFull) => Answer::throttled(protocol, id),
            Err(NotRun::Failed) => Answer::failure(protocol, failure_name, "The call failed.", id),
        }
    }

    fn record(&self, answer: &Answer, started: Instant) {
        let result = match &answer.error {
            None => RequestResult::Success,
            Some(name) if name == THROTTLING => RequestResult::Throttled,
            Some(_) if answer.status.is_server_error() => RequestResult::Failed,
            Some(_) if answer.principal.is_none() => RequestResult::Unauthenticated,
            Some(_) => RequestResult::Refused,
        };
        self.state.metrics.count_request(result);
        tracing::info!(
            request_id = self.id,
            peer = %self.peer,
            operation = answer.operation.as_deref(),
            principal = answer.principal.as_deref(),
            access_key_id = answer.access_key_id.as_deref(),
            status = answer.status.as_u16(),
            error = answer.error.as_deref(),
            micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }
}

/// Returns the protocol, or `None` if the media type belongs to none.
fn protocol(request: &Request<Incoming>) -> Option<Protocol> {
    let Some(content_type) = request.headers().get(header::CONTENT_TYPE) else {
        return (request.method() == Method::GET).then_some(Protocol::Query);
    };
    let essence = content_type.to_str().ok()?.split(';').next()?.trim();
    if essence.eq_ignore_ascii_case(super::answer::JSON) {
        Some(Protocol::Json)
    } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Some(Protocol::Query)
    } else {
        None
    }
}

fn refuse_body(protocol: Protocol, incomplete: &Incomplete, limit: usize, id: &str) -> Answer {
    let (status, name, text) = match incomplete {
        Incomplete::NoMemory => return Answer::throttled(protocol, id),
        Incomplete::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLargeException",
            format!("The body must be at most {limit} bytes."),
        ),
        Incomplete::TooSlow => {
            (StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException", "The body did not arrive in time.".to_owned())
        }
        Incomplete::Aborted => {
            (StatusCode::BAD_REQUEST, "IncompleteBodyException", "The body did not arrive completely.".to_owned())
        }
    };
    Answer::exception(protocol, status, name, &text, id)
}

fn response(answer: Answer, id: &str, is_http1: bool) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::new(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate, private"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(name) = answer.error.as_deref().and_then(|name| HeaderValue::from_str(name).ok()) {
        headers.insert(ERROR_TYPE, name);
    }
    if let Some(millis) = answer.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(millis));
    }
    if let Some(methods) = answer.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    }
    if answer.close && is_http1 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
