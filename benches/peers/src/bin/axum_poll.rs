//! The same poll as the product's, on axum and rusqlite: `GET /v1/organizations/verification` with
//! `Authorization` and `Nxos-On-Behalf-Of`, from the same file by the same statement, answered with
//! the same headers and body.
//!
//! `axum_poll ADDRESS DATABASE [direct|in-place|spawn]`
//!
//! Written for speed, as the product is: one read-only connection per worker thread with the same
//! pragmas and cached statements, so that no request waits for another's connection. A read takes
//! microseconds, less than handing it to another thread, so it runs on the worker itself (`direct`);
//! `in-place` (`block_in_place`) and `spawn` (`spawn_blocking`) were measured and are slower.

use std::cell::OnceCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, named_params};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The product's, `src/store/access.rs`.
const POLL: &str =
    "SELECT k.organization_id, k.key_id, k.scopes, k.expires_at_ms, k.revoked_at_ms, -- 0-4
                        o.organization_id, o.type,                                           -- 5, 6
                        v.state, v.applicant_id, v.expires_at_ms, v.lapsed, v.updated_at_ms, -- 7-11
                        a.status                                                             -- 12
                 FROM api_key AS k
                 LEFT JOIN organization AS o
                   ON o.organization_id = coalesce(:on_behalf_of, k.organization_id)
                 LEFT JOIN verification AS v
                   ON v.organization_id = o.organization_id
                 LEFT JOIN authorization AS a
                   ON a.granting = o.organization_id
                  AND a.authorized = k.organization_id
                  AND a.type = 'LOA'
                  AND a.status IN ('PENDING', 'ACTIVE')
                 WHERE k.key_sha256 = :key";

const POLICY: &str = "\"key\";q=1000000;w=1";
const LEFT: &str = "\"key\";r=999999;t=1";

#[derive(Clone, Copy)]
enum Manner {
    Direct,
    InPlace,
    Spawn,
}

struct App {
    database: PathBuf,
    manner: Manner,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr =
        arguments.next().and_then(|it| it.parse().ok()).expect("an address, as 127.0.0.1:8082");
    let database = PathBuf::from(arguments.next().expect("a database file"));
    let manner = match arguments.next().as_deref() {
        None | Some("direct") => Manner::Direct,
        Some("in-place") => Manner::InPlace,
        Some("spawn") => Manner::Spawn,
        Some(other) => panic!("no manner {other}"),
    };
    let app = Arc::new(App { database, manner });
    tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .max_blocking_threads(4)
        .build()
        .expect("a runtime")
        .block_on(serve(address, app));
}

async fn serve(address: SocketAddr, app: Arc<App>) {
    let router = Router::new().route("/v1/organizations/verification", get(poll)).with_state(app);
    let listener = tokio::net::TcpListener::bind(address).await.expect("a free address");
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router).await.expect("a server");
}

async fn poll(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let text = |name| headers.get(name).and_then(|it: &HeaderValue| it.to_str().ok());
    let Some(key) = text("authorization").and_then(|it| it.strip_prefix("Bearer ")) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    if !key.starts_with("nxos_sk_test_") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let key: [u8; 32] = Sha256::digest(key).into();
    let subject = text("nxos-on-behalf-of").map(ToOwned::to_owned);
    let read = match app.manner {
        Manner::Direct => read(&app, &key, subject.as_deref()),
        Manner::InPlace => tokio::task::block_in_place(|| read(&app, &key, subject.as_deref())),
        Manner::Spawn => tokio::task::spawn_blocking(move || read(&app, &key, subject.as_deref()))
            .await
            .expect("a read that does not panic"),
    };
    match read {
        Ok(it) => answer(it),
        Err(status) => status.into_response(),
    }
}

fn answer(answer: Answer) -> Response {
    let json = serde_json::to_vec(&answer.body).expect("a body");
    let id = format!("req_{}", uuid::Uuid::now_v7().simple());
    let ascii = |text: String| HeaderValue::from_maybe_shared(text.into_bytes()).expect("ASCII");
    // The product counts requests per key; this only sends as many bytes.
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::ETAG, ascii(answer.tag)),
        (HeaderName::from_static("ratelimit-policy"), HeaderValue::from_static(POLICY)),
        (HeaderName::from_static("ratelimit"), HeaderValue::from_static(LEFT)),
        (HeaderName::from_static("x-request-id"), ascii(id)),
    ];
    (headers, json).into_response()
}

struct Answer {
    tag: String,
    body: Body,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    object: &'static str,
    status: String,
    r#type: String,
    updated_at: String,
}

struct Row {
    caller: String,
    scopes: String,
    key_expires_at_ms: Option<i64>,
    revoked_at_ms: Option<i64>,
    subject: Option<String>,
    kind: Option<String>,
    state: Option<String>,
    expires_at_ms: Option<i64>,
    updated_at_ms: Option<i64>,
    authorization: Option<String>,
}

fn read(app: &App, key: &[u8; 32], subject: Option<&str>) -> Result<Answer, StatusCode> {
    thread_local! {
        static READER: OnceCell<Connection> = const { OnceCell::new() };
    }
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_millis());
    let is_past = |at_ms: i64| i128::from(at_ms) <= now_ms.cast_signed();
    let row = READER
        .with(|it| {
            let connection = it.get_or_init(|| open(app).expect("a register"));
            row(connection, key, subject)
        })
        .or(Err(StatusCode::INTERNAL_SERVER_ERROR))?
        .filter(|it| it.revoked_at_ms.is_none() && !it.key_expires_at_ms.is_some_and(is_past))
        .ok_or(StatusCode::UNAUTHORIZED)?;
    let (Some(subject), Some(kind), Some(state), Some(updated_at_ms)) =
        (row.subject, row.kind, row.state, row.updated_at_ms)
    else {
        return Err(StatusCode::NOT_FOUND);
    };
    let may_read = row.scopes.contains("read");
    if !may_read || (subject != row.caller && row.authorization.is_none()) {
        return Err(StatusCode::FORBIDDEN);
    }
    let expiry = row.expires_at_ms.filter(|it| state == "APPROVED" && is_past(*it));
    let (status, since_ms) = match expiry {
        Some(at_ms) => ("RESUBMISSION_REQUIRED".to_owned(), at_ms.max(updated_at_ms)),
        None => (status_of(state), updated_at_ms),
    };
    let since =
        jiff::Timestamp::from_millisecond(since_ms).or(Err(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok(Answer {
        tag: format!("\"{status}-{since_ms:x}\""),
        body: Body {
            object: "organization_verification",
            status,
            r#type: kind,
            updated_at: format!("{since:.3}"),
        },
    })
}

fn status_of(state: String) -> String {
    for suffix in ["_BY_PROVIDER", "_BY_OPERATOR"] {
        if let Some(status) = state.strip_suffix(suffix) {
            return status.to_owned();
        }
    }
    state
}

fn row(
    connection: &Connection,
    key: &[u8; 32],
    subject: Option<&str>,
) -> rusqlite::Result<Option<Row>> {
    connection
        .prepare_cached(POLL)?
        .query_row(named_params! {":key": key, ":on_behalf_of": subject}, |row| {
            Ok(Row {
                caller: row.get(0)?,
                scopes: row.get(2)?,
                key_expires_at_ms: row.get(3)?,
                revoked_at_ms: row.get(4)?,
                subject: row.get(5)?,
                kind: row.get(6)?,
                state: row.get(7)?,
                expires_at_ms: row.get(9)?,
                updated_at_ms: row.get(11)?,
                authorization: row.get(12)?,
            })
        })
        .optional()
}

fn open(app: &App) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&app.database, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch(
        "PRAGMA busy_timeout = 5000;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;
         PRAGMA query_only = ON;
         PRAGMA mmap_size = 2147418112;",
    )?;
    Ok(connection)
}
