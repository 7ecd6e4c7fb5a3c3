//! The routes, and who may use them.
//!
//! The token decides about the tenant. Nothing in a path or a body does.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use serde::Serialize;
use serde::de::DeserializeOwned;
use strongroom::columns::IndexValue;
use uuid::Uuid;

use crate::database::{Database, StoredNote};
use crate::error::ApiError;
use crate::note::{Draft, Page, Paging, Search, page_size};
use crate::sweep::sweep;
use crate::vault::Vault;

/// The maximum length of a body in bytes.
const MAX_BODY: usize = 1 << 20;

type Answer = Result<Response, ApiError>;

#[derive(Clone, Debug)]
pub(crate) struct Service {
    vault: Arc<Vault>,
    database: Database,
    admin: IndexValue,
}

impl Service {
    pub(crate) fn new(vault: Vault, database: Database, admin_token: &str) -> strongroom::Result<Self> {
        let admin = vault.token_index(admin_token)?;
        Ok(Self { vault: Arc::new(vault), database, admin })
    }

    pub(crate) fn routes(self) -> Router {
        Router::new()
            .route("/notes", get(list).post(create))
            .route("/notes/search", post(search))
            .route("/notes/{id}", get(read).put(replace).delete(remove))
            .route("/admin/tenants/{tenant}", put(add_tenant))
            .route("/admin/tenants/{tenant}/rotate", post(rotate))
            .route("/admin/tenants/{tenant}/keys", delete(delete_keys))
            .route("/admin/sweep", post(run_sweep))
            .fallback(async || ApiError::new(StatusCode::NOT_FOUND, "there is no such path"))
            .layer(middleware::from_fn(with_whole_body))
            .with_state(self)
    }

    /// Calls the vault on a blocking thread.
    async fn with_vault<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Vault) -> strongroom::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let vault = Arc::clone(&self.vault);
        blocking(move || call(&vault)).await
    }

    /// Returns the stored form of the request's bearer token.
    async fn token(&self, parts: &Parts) -> Result<IndexValue, ApiError> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(unauthorized)?.to_owned();
        self.with_vault(move |vault| vault.token_index(&token)).await
    }

    async fn require_tenant(&self, name: &str) -> Result<(), ApiError> {
        match self.database.has_tenant(name).await? {
            true => Ok(()),
            false => Err(ApiError::new(StatusCode::NOT_FOUND, "there is no such tenant")),
        }
    }

    async fn decrypted(&self, tenant: String, stored: Vec<StoredNote>, limit: i64) -> Answer {
        let is_full = i64::try_from(stored.len()) == Ok(limit);
        let decrypt = move |vault: &Vault| stored.into_iter().map(|note| vault.decrypt(&tenant, note)).collect();
        let notes: Vec<_> = self.with_vault(decrypt).await?;
        let next = notes.last().filter(|_| is_full).map(|note| note.id.clone());
        json(StatusCode::OK, &Page { notes, next })
    }
}

/// Reads the body before anything is decided. A refusal that leaves a part of it unread would end the
/// connection, and the client might not see the response.
async fn with_whole_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match to_bytes(body, MAX_BODY).await {
        Ok(body) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(_) => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is incomplete or too long").into_response(),
    }
}

/// Runs a call to the KMS on a blocking thread.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> strongroom::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    Ok(tokio::task::spawn_blocking(call).await??)
}

fn unauthorized() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "a valid bearer token is required")
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(body).map_err(|_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "no JSON"))?;
    Ok((status, [("content-type", "application/json")], body).into_response())
}

/// Parses a body. The error contains no part of it.
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        ApiError::bad_request(format!("the body is not the expected JSON (line {line}, column {column})"))
    })
}

/// Returns the form of an identifier in which it is stored.
fn note_id(id: &str) -> Result<String, ApiError> {
    Ok(Uuid::try_parse(id).map_err(|_| ApiError::not_found())?.to_string())
}

/// The tenant that sends a request.
struct Tenant(String);

impl FromRequestParts<Service> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, ApiError> {
        let token = service.token(parts).await?;
        service.database.tenant_of(token).await?.map(Self).ok_or_else(unauthorized)
    }
}

/// A request of the administrator.
struct Admin;

impl FromRequestParts<Service> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, ApiError> {
        // The time of the comparison reveals nothing: an attacker cannot choose the MAC of a guess.
        if service.token(parts).await? == service.admin { Ok(Self) } else { Err(unauthorized()) }
    }
}

async fn create(State(service): State<Service>, Tenant(tenant): Tenant, body: Bytes) -> Answer {
    let draft: Draft = parse(&body)?;
    draft.check()?;
    let (id, of_tenant) = (Uuid::now_v7().to_string(), tenant.clone());
    let created = serde_json::json!({ "id": &id });
    let (stored, indexes) = service.with_vault(move |vault| vault.encrypt(&of_tenant, id, &draft)).await?;
    service.database.insert(&tenant, stored, indexes).await?;
    json(StatusCode::CREATED, &created)
}

async fn replace(
    State(service): State<Service>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let draft: Draft = parse(&body)?;
    draft.check()?;
    let (id, of_tenant) = (note_id(&id)?, tenant.clone());
    let (stored, indexes) = service.with_vault(move |vault| vault.encrypt(&of_tenant, id, &draft)).await?;
    match service.database.update(&tenant, stored, indexes).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(ApiError::not_found()),
    }
}

async fn read(State(service): State<Service>, Tenant(tenant): Tenant, Path(id): Path<String>) -> Answer {
    let stored = service.database.get(&tenant, &note_id(&id)?).await?.ok_or_else(ApiError::not_found)?;
    json(StatusCode::OK, &service.with_vault(move |vault| vault.decrypt(&tenant, stored)).await?)
}

async fn remove(State(service): State<Service>, Tenant(tenant): Tenant, Path(id): Path<String>) -> Answer {
    match service.database.delete(&tenant, &note_id(&id)?).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(ApiError::not_found()),
    }
}

async fn list(
    State(service): State<Service>,
    Tenant(tenant): Tenant,
    query: Result<Query<Paging>, QueryRejection>,
) -> Answer {
    let Query(paging) = query.map_err(|_| ApiError::bad_request("the query has `after` and `limit` only"))?;
    let limit = page_size(paging.limit)?;
    let stored = service.database.page(&tenant, &paging.after, limit, (None, None)).await?;
    service.decrypted(tenant, stored, limit).await
}

async fn search(State(service): State<Service>, Tenant(tenant): Tenant, body: Bytes) -> Answer {
    let Search { author, tag, after, limit } = parse(&body)?;
    let limit = page_size(limit)?;
    let of_tenant = tenant.clone();
    let indexes = service.with_vault(move |vault| vault.search(&of_tenant, author.as_deref(), tag.as_deref())).await?;
    let stored = service.database.page(&tenant, &after, limit, indexes).await?;
    service.decrypted(tenant, stored, limit).await
}

async fn add_tenant(State(service): State<Service>, _: Admin, Path(tenant): Path<String>) -> Answer {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=64).contains(&tenant.len()) || !tenant.bytes().all(is_allowed) {
        return Err(ApiError::bad_request("a tenant has 1 to 64 lower-case letters, digits and hyphens"));
    }
    let exists = || ApiError::new(StatusCode::CONFLICT, "the tenant exists");
    if service.database.has_tenant(&tenant).await? {
        return Err(exists());
    }
    let name = tenant.clone();
    let (token, index) = service.with_vault(move |vault| vault.add_tenant(&name)).await?;
    match service.database.insert_tenant(&tenant, index).await? {
        // The only time that anyone sees the token.
        true => json(StatusCode::CREATED, &serde_json::json!({ "token": token })),
        false => Err(exists()),
    }
}

async fn rotate(State(service): State<Service>, _: Admin, Path(tenant): Path<String>) -> Answer {
    service.require_tenant(&tenant).await?;
    service.with_vault(move |vault| vault.rotate(&tenant)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn delete_keys(State(service): State<Service>, _: Admin, Path(tenant): Path<String>) -> Answer {
    service.require_tenant(&tenant).await?;
    let date = service.with_vault(move |vault| vault.delete_keys(&tenant)).await?;
    json(StatusCode::ACCEPTED, &serde_json::json!({ "deletion_date": date }))
}

async fn run_sweep(State(service): State<Service>, _: Admin) -> Answer {
    json(StatusCode::OK, &sweep(&service.database, &service.vault).await?)
}
