//! Routes of the management port.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use tokio::net::TcpListener;

/// What the text form of metrics is called.
const METRICS_TYPE: (header::HeaderName, &str) =
    (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");

/// What the management port asks the rest of the server.
#[derive(Clone)]
pub struct Management(Arc<Questions>);

struct Questions {
    ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    metrics: Box<dyn Fn() -> Result<String, String> + Send + Sync>,
}

impl fmt::Debug for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Management(..)")
    }
}

impl Management {
    /// `ready` says why not, in words for an operator; `metrics` writes the page to scrape.
    pub fn new<E: fmt::Display>(
        ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
        metrics: impl Fn() -> Result<String, E> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Questions {
            ready: Box::new(ready),
            metrics: Box::new(move || metrics().map_err(|error| error.to_string())),
        }))
    }

    /// Serves until `stop` is done.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        axum::serve(listener, self.routes()).with_graceful_shutdown(stop).await
    }

    fn routes(self) -> Router {
        Router::new()
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

async fn readyz(State(management): State<Management>) -> Response {
    match (management.0.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response()
        }
    }
}

async fn metrics(State(management): State<Management>) -> Response {
    match (management.0.metrics)() {
        Ok(page) => ([METRICS_TYPE], page).into_response(),
        Err(error) => {
            tracing::error!(error, "Metrics cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written\n").into_response()
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// Status line and body of a plain request, as any probe would send it.
    async fn get(address: std::net::SocketAddr, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    #[tokio::test]
    async fn a_server_is_alive_before_it_is_ready_and_says_what_it_waits_for() {
        let loaded = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&loaded);
        let management = Management::new(
            move || match seen.load(Ordering::SeqCst) {
                true => Ok(()),
                false => Err("no rules are loaded".to_owned()),
            },
            || Ok::<_, std::fmt::Error>("offergate_rules_revision 7\n".to_owned()),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(management.serve(listener, async {
            let _ = stopped.await;
        }));

        let ok = "HTTP/1.1 200 OK".to_owned();
        assert_eq!(get(address, "/livez").await, (ok.clone(), "alive\n".to_owned()));
        let (status, why) = get(address, "/readyz").await;
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
        assert_eq!(why, "not ready: no rules are loaded\n");
        loaded.store(true, Ordering::SeqCst);
        assert_eq!(get(address, "/readyz").await, (ok.clone(), "ready\n".to_owned()));
        let page = "offergate_rules_revision 7\n".to_owned();
        assert_eq!(get(address, "/metrics").await, (ok, page));
        assert_eq!(get(address, "/rules").await.0, "HTTP/1.1 404 Not Found");

        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    }
}
