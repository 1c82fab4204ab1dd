//! A small online-banking backend: shows an offer to a customer only where Offergate says `ELIGIBLE`.
//!
//! ```text
//! GET /offers/ID?customer=ID    {"offer": ..., "show": true or false, "why": ..., "source": ...}
//! ```
//! The header `Offergate-Token` of a request asks for rules that are at least as new as that token. It
//! answers 200 whatever happens to Offergate: a page without an offer is a page, an error is none.

mod clock;
mod offers;
mod proto;
mod retry;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use clap::Parser as _;
use offers::Offers;
use proto::{Customer, Holding, HoldingStatus};
use retry::Retries;
use serde_json::json;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

const SERVICE_CONFIG: &str = include_str!("../../service_config.json");
const METHOD: (&str, &str) = ("offergate.v1.EligibilityService", "CheckEligibility");

/// Shows offers to customers where Offergate says ELIGIBLE
#[derive(Debug, clap::Parser)]
struct Args {
    /// Address of a server, such as `http://10.0.0.7:7443`; given several times, calls go round
    #[arg(long, required = true)]
    server: Vec<String>,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// The authority of the servers' certificates
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// This backend's own certificate
    #[arg(long, requires = "ca_file", requires = "key_file")]
    certificate_file: Option<PathBuf>,
    /// Its key
    #[arg(long)]
    key_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let servers = args.server.iter().map(|server| channel(server, &args));
    let servers = servers.collect::<Result<_, Box<dyn Error>>>()?;
    let offers = Arc::new(Offers::new(Retries::of(SERVICE_CONFIG, METHOD, servers)?));
    let pages = Router::new().route("/offers/{offer}", get(page)).with_state(offers);
    let listener = tokio::net::TcpListener::bind(&args.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, pages).await?;
    Ok(())
}

/// One connection, made when it is first needed and again when it is lost. A dead one is noticed within
/// 40 s even if nobody says so.
fn channel(server: &str, args: &Args) -> Result<Channel, Box<dyn Error>> {
    let mut endpoint = Endpoint::from_shared(server.to_owned())?
        .user_agent("online-banking")?
        .connect_timeout(Duration::from_millis(200))
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    if let Some(ca) = &args.ca_file {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(fs::read(ca)?));
        if let (Some(certificate), Some(key)) = (&args.certificate_file, &args.key_file) {
            tls = tls.identity(Identity::from_pem(fs::read(certificate)?, fs::read(key)?));
        }
        endpoint = endpoint.tls_config(tls)?;
    }
    Ok(endpoint.connect_lazy())
}

async fn page(
    State(offers): State<Arc<Offers>>,
    Path(offer): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    // These ids are plain ASCII; others would have to be decoded.
    let query = query.unwrap_or_default();
    let name = query.split('&').find_map(|pair| pair.strip_prefix("customer="));
    let Some(customer) = name.and_then(customer) else {
        return (StatusCode::NOT_FOUND, Json(json!({"error": "no such page"}))).into_response();
    };
    let token = headers.get("Offergate-Token").and_then(|token| token.to_str().ok());
    let answer = offers.may_show(&offer, customer, token.map(str::to_owned)).await;
    let content: serde_json::Value = match serde_json::to_value(answer) {
        Ok(serde_json::Value::Object(mut content)) => {
            content.insert("offer".to_owned(), offer.into());
            content.into()
        }
        _ => json!({"offer": offer, "show": false}),
    };
    // No proxy and no browser keeps it: only this process knows until when it holds.
    ([(header::CACHE_CONTROL, "no-store")], Json(content)).into_response()
}

/// What the bank knows about a customer. A backend of yours asks its own database, for each call.
fn customer(id: &str) -> Option<Customer> {
    let country = match id {
        "cust-london" => Some("GB"),
        "cust-dublin" => Some("IE"),
        // Where this one lives is not known; nothing is made up.
        "cust-nowhere" => None,
        _ => return None,
    };
    let has_online_banking = prost_types::value::Kind::BoolValue(true);
    Some(Customer {
        id: id.to_owned(),
        country: country.map(str::to_owned),
        date_of_birth: Some("1985-04-12".to_owned()),
        holding: Some(Holding { status: HoldingStatus::None.into(), ..Holding::default() }),
        attributes: [(
            "online_banking".to_owned(),
            prost_types::Value { kind: Some(has_online_banking) },
        )]
        .into(),
        ..Customer::default()
    })
}
