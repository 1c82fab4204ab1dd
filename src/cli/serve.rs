//! `offergate serve`: wires everything; `stores` opens the store that the settings name.
//!
//! Each worker thread has a runtime and a socket of its own; a control runtime on the main thread
//! has the management port, the signals and the end.
//!
//! Invariants: everything that can be wrong is found before a port opens; the first line on stdout
//! is `listening on http://HOST:PORT`, with TLS `https`, the second `management on http://HOST:PORT`; a server that
//! was told to stop says NOT_SERVING for a while before it stops accepting, finishes what it has begun, and
//! writes down what it has decided, even if it is told again and ends at once.

use super::audit;
use super::config::bad_settings;
use super::decision_log;
use super::demo;
use super::door::{Way, refuse_what_cannot_serve};
use super::events;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::people;
use super::reload::Reload;
use super::signals::{Signals, Told};
use super::stores::{self, Opened};
use super::supervisor::{Pulse, Supervisor};
use super::threads::{start_thread, worker_failure};
use crate::config::{self, ServeArgs, Settings};
use crate::grpc::{self, LimitSettings, Limits, RateSettings};
use crate::http::Management;
use crate::identity::Quota;
use crate::replica::Follower;
use crate::service::Service;
use crate::telemetry::{self, RpcLayer, RulesSeen, Telemetry, TelemetrySettings};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long leaving a shared store may take.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);

/// Serve checks and changes over gRPC
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing needs to be installed: rules live in one file. SIGTERM drains and stops; a second one stops
at once, with 1. SIGHUP reads the settings anew and says what needs a restart.

Examples:
  offergate serve --demo
  offergate serve --oidc-issuer https://id.bank.example --oidc-audience offergate \\
    --store /var/lib/offergate/rules.db")]
pub(super) struct Args {
    #[command(flatten)]
    serve: ServeArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let settings = config::load(&args.serve).map_err(bad_settings)?;
    refuse_what_cannot_serve(&settings, args.serve.demo)?;
    let way = Way::open(&settings, args.serve.demo)?;
    let key = audit::key_of(&settings, args.serve.demo)?;
    let telemetry = start_telemetry(&settings)?;
    telemetry::log_panics();
    way.warn(&settings);
    telemetry.observe_certificates(way.ends());
    let control = runtime()?;
    let signals = {
        let _inside = control.enter();
        Signals::new()?
    };
    let opened = control.block_on(start_service(&settings, &telemetry, &args.serve))?;
    let signs = key.is_some();
    if let Some(key) = key {
        opened.service.sign_with(key);
    }
    let recorder = decision_log::open(&settings, args.serve.demo, &telemetry)?;
    if let Some(recorder) = &recorder {
        opened.service.record_with(Arc::clone(recorder));
    }
    let demo = args.serve.demo;
    let events = events::open(&settings, demo, &opened.service, recorder.as_ref(), &telemetry)?;
    let clients = grpc::listeners(settings.listen, settings.workers)
        .map_err(|error| port_failure("--listen", settings.listen, error))?;
    let management = TcpListener::bind(settings.management_listen)
        .map_err(|error| port_failure("--management-listen", settings.management_listen, error))?;

    let address = address_of(clients.first())?;
    output.raw(&format!("listening on {}://{address}\n", way.scheme()))?;
    output.raw(&format!("management on http://{}\n", address_of(Some(&management))?))?;
    if args.serve.demo {
        people::note_address(&settings, address)?;
        output.raw(&demo::banner(address, &people::file(&settings)?))?;
    }
    let server = Server::new(&settings, &opened, &telemetry, &way, control.handle().clone())?;
    let (limits, files, filters) = (server.limits.clone(), way.files(), telemetry.log_filters());
    let reload = Reload::new(args.serve.clone(), settings, limits, files, filters);
    let _following = control.spawn(way.follow());
    let _telling = events.map(|events| control.spawn(events.run()));
    let status = format!("Listening on {address}");
    let running = Running { control: &control, signals, reload, status };
    let ended = server.serve(running, clients, management, opened, signs);
    if let Some(recorder) = recorder {
        recorder.stop();
    }
    match ended? {
        Ended::Drained => telemetry.shutdown(),
        Ended::AtOnce => {
            // Whoever collects it may not answer, and whoever told us twice does not wait for that.
            std::mem::forget(telemetry);
            control.shutdown_background();
            return Err(Failure::new(Exit::Failure, "stopped at once, being told again"));
        }
    }
    Ok(Exit::Ok)
}

/// What a server is run with, and by.
struct Running<'a> {
    control: &'a Runtime,
    signals: Signals,
    reload: Reload,
    /// What it does, for whoever started it.
    status: String,
}

/// How a server that was told to stop has ended.
enum Ended {
    /// It has finished what it had begun, or had no more time for it.
    Drained,
    /// It was told again.
    AtOnce,
}

fn port_failure(flag: &str, address: SocketAddr, error: io::Error) -> Failure {
    let help = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another process listens there: stop it, or set {flag} to another address; port 0 \
             takes a free one"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 need a privilege: set {flag} to a higher one")
        }
        _ => format!("set {flag} to an address of this machine"),
    };
    Failure::new(Exit::Failure, format_args!("{address} cannot be opened"))
        .because(error)
        .help(help)
}

/// Where a listener listens, with the real port where 0 was asked for.
fn address_of(listener: Option<&TcpListener>) -> Result<SocketAddr, Failure> {
    let address = listener.map(TcpListener::local_addr).transpose().ok().flatten();
    address.ok_or_else(|| Failure::new(Exit::Failure, "a listener has no address"))
}

fn start_telemetry(settings: &Settings) -> Result<Telemetry, Failure> {
    let log_format = match settings.log_format {
        config::LogFormat::Auto => telemetry::LogFormat::Auto,
        config::LogFormat::Text => telemetry::LogFormat::Text,
        config::LogFormat::Json => telemetry::LogFormat::Json,
    };
    let log_filter = settings.load.log_filter.clone();
    let settings = TelemetrySettings { log_format, log_filter, ..TelemetrySettings::default() };
    telemetry::init(settings)
        .map_err(|error| Failure::usage("telemetry cannot be set up").because(error))
}

async fn start_service(
    settings: &Settings,
    telemetry: &Telemetry,
    args: &ServeArgs,
) -> Result<Opened, Failure> {
    let decisions = telemetry.decisions(Service::outcomes(), Service::reasons());
    let opened = stores::open(settings, args, decisions).await?;
    if args.demo {
        demo::apply_rules(&opened.service).await?;
    }
    let seen = Arc::clone(&opened.service);
    telemetry.observe_rules(move || rules_seen(&seen));
    let seen = Arc::clone(&opened.service);
    telemetry.observe_standing(move || seen.standing_seen());
    opened.service.measure_with(telemetry.enforcements());
    Ok(opened)
}

/// What the metrics say about the rules.
fn rules_seen(service: &Service) -> Option<RulesSeen> {
    let held = service.held()?;
    let rules = &held.rules;
    let kinds = [
        ("vendors", rules.vendors.len()),
        ("products", rules.products.len()),
        ("offers", rules.offers.len()),
        ("advisories", rules.advisories.len()),
        ("suspensions", rules.suspensions.len()),
        ("exemptions", rules.exemptions.len()),
    ];
    let counts = kinds.map(|(kind, count)| (kind, u64::try_from(count).unwrap_or(u64::MAX)));
    let age = service.rules_age();
    let (in_time, overdue) = service.unratified();
    let unratified =
        [in_time, overdue].map(|count| u64::try_from(count).unwrap_or(u64::MAX)).into();
    Some(RulesSeen { revision: held.head.revision.0, age, counts: counts.into(), unratified })
}

/// How much the server takes on.
pub(super) fn limits(settings: &Settings) -> LimitSettings {
    let load = &settings.load;
    let caller = load.quota_per_second.map(|per_second| {
        let burst = load.quota_burst.unwrap_or(per_second);
        Quota { per_second, burst }
    });
    LimitSettings {
        check_timeout: settings.check_timeout,
        admin_timeout: settings.admin_timeout,
        checks: settings.max_concurrent_checks,
        streams: settings.max_streams,
        connections: settings.max_connections,
        connections_per_peer: settings.max_connections_per_peer,
        connection_age: load.connection_age,
        rates: RateSettings { process: load.checks_per_second, caller },
    }
}

/// A server that can start.
struct Server {
    front: grpc::Front,
    switch: grpc::Switch,
    door: grpc::Door,
    rpc: RpcLayer,
    limits: Limits,
    management: Management,
}

impl Server {
    fn new(
        settings: &Settings,
        opened: &Opened,
        telemetry: &Telemetry,
        way: &Way,
        control: Handle,
    ) -> Result<Self, Failure> {
        let switch = grpc::Switch::on();
        let front = grpc::routes(&opened.service, &switch, settings.reflection, Some(control))
            .map_err(|error| {
                Failure::new(Exit::Failure, "the services cannot be made").because(error)
            })?;
        let (asked, on) = (Arc::clone(&opened.service), switch.clone());
        let ready = move || match on.is_on() {
            true => asked.ready(),
            false => Err("this server is stopping".to_owned()),
        };
        let incidents = telemetry.incidents();
        Ok(Self {
            front,
            switch,
            door: way.door(incidents.clone()),
            rpc: telemetry.rpc_layer(grpc::METHODS),
            limits: Limits::new(limits(settings), incidents),
            management: Management::new(ready, telemetry.encoder()),
        })
    }

    /// Serves until it is told to stop, or a thread of it fails.
    fn serve(
        self,
        running: Running<'_>,
        clients: Vec<TcpListener>,
        management: TcpListener,
        opened: Opened,
        signs: bool,
    ) -> Result<Ended, Failure> {
        let Running { control, mut signals, mut reload, status } = running;
        let stop = CancellationToken::new();
        let (ended, mut ends) = mpsc::unbounded_channel();
        let supervisor = control.block_on(async { Supervisor::new() });
        let mut pulses = Vec::new();
        for (number, listener) in clients.into_iter().enumerate() {
            let pulse = supervisor.pulse();
            pulses.push(pulse.clone());
            self.start_worker(number, listener, &stop, pulse, ended.clone())?;
        }
        drop(ended);
        control.block_on(async {
            let mut managed = self.start_management(management)?;
            let Opened { service, follower, broken } = opened;
            let mut mended = tokio::spawn(Arc::clone(&service).mend());
            tokio::spawn(Arc::clone(&service).watch_enforcement());
            if signs {
                // That proofs lag is told to those who ask for them, and stops no check. Where nothing is
                // signed, the log is read when somebody asks: it takes room.
                tokio::spawn(service.follow_log());
            }
            let watching = tokio::spawn(supervisor.clone().watch_over(pulses));
            let mut broken = pin!(broken);
            supervisor.ready(&status);
            tracing::info!("Serving");
            let failure = loop {
                tokio::select! {
                    told = signals.next() => match told {
                        Told::Stop => break None,
                        Told::Reload => {
                            supervisor.reloading();
                            reload = read_anew(reload).await?;
                            supervisor.ready(&status);
                        }
                    },
                    end = ends.recv() => break Some(worker_failure(end)),
                    _ = &mut mended => {
                        break Some(Failure::new(Exit::Failure, "nobody mends what is in doubt"));
                    }
                    _ = &mut managed => {
                        break Some(Failure::new(Exit::Failure, "the management port failed"));
                    }
                    // Only a new process can find out what the disk holds.
                    () = &mut broken => {
                        break Some(Failure::new(Exit::Failure, "the store failed for good")
                            .help("the log names the cause; see to the disk, then start again"));
                    }
                }
            };
            supervisor.stopping("Draining");
            let settings = reload.running();
            // Whoever failed serves nobody well by staying.
            let delay = if failure.is_none() { settings.load.drain_delay } else { Duration::ZERO };
            let end = self.drain(&stop, &mut ends, &mut signals, delay, settings.drain_timeout);
            let end = end.await;
            watching.abort();
            if let (Ended::Drained, Some(follower)) = (&end, follower) {
                leave(&follower).await;
            }
            failure.map_or(Ok(end), Err)
        })
    }

    /// Sends clients elsewhere, serves for `delay` more, then finishes what is under way within `limit`.
    async fn drain(
        &self,
        stop: &CancellationToken,
        ends: &mut mpsc::UnboundedReceiver<Result<(), Failure>>,
        signals: &mut Signals,
        delay: Duration,
        limit: Duration,
    ) -> Ended {
        self.switch.leave();
        tracing::info!("Told to stop: health says so, and calls are taken for {delay:?} more");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = signals.stop() => return at_once(),
        }
        self.switch.turn_off();
        stop.cancel();
        tracing::info!("Draining: no new calls, and those under way may finish");
        let drained = async { while ends.recv().await.is_some() {} };
        tokio::select! {
            () = drained => tracing::info!("Stopped"),
            () = tokio::time::sleep(limit) => {
                tracing::warn!("Stopped with calls still under way after {limit:?}");
            }
            () = signals.stop() => return at_once(),
        }
        Ended::Drained
    }

    /// Serves one socket on a thread of its own, and tells how that ended.
    fn start_worker(
        &self,
        number: usize,
        listener: TcpListener,
        stop: &CancellationToken,
        pulse: Pulse,
        ended: mpsc::UnboundedSender<Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let (front, door) = (self.front.clone(), self.door.clone());
        let (rpc, limits) = (self.rpc.clone(), self.limits.clone());
        let stop = stop.clone().cancelled_owned();
        start_thread(format!("worker-{number}"), ended, move || {
            let serve = async {
                tokio::spawn(pulse.beat());
                grpc::serve(listener, front, door, limits, rpc, stop).await
            };
            runtime()?.block_on(serve).map_err(|error| {
                Failure::new(Exit::Failure, "a thread stopped serving").because(error)
            })
        })
    }

    /// Serves probes and metrics, to the very end.
    fn start_management(&self, listener: TcpListener) -> Result<JoinHandle<()>, Failure> {
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| tokio::net::TcpListener::from_std(listener))
            .map_err(|error| {
                Failure::new(Exit::Failure, "the management port cannot be used").because(error)
            })?;
        let management = self.management.clone();
        Ok(tokio::spawn(async move {
            if let Err(error) = management.serve(listener, std::future::pending()).await {
                tracing::error!(error = &error as &dyn std::error::Error, "Management port failed");
            }
        }))
    }
}

fn at_once() -> Ended {
    tracing::warn!("Stopped at once, being told again");
    Ended::AtOnce
}

/// Reads the settings anew, beside everything else.
async fn read_anew(mut reload: Reload) -> Result<Reload, Failure> {
    let reading = tokio::task::spawn_blocking(move || {
        reload.again();
        reload
    });
    reading.await.map_err(|broken| {
        Failure::new(Exit::Failure, "reading the settings broke off").because(broken)
    })
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failure, "no runtime can be made").because(error))
}

/// Takes this replica off the list, so that no suspension waits for it.
async fn leave(follower: &Follower) {
    match tokio::time::timeout(LEAVE_LIMIT, follower.leave()).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) | Err(_) => tracing::warn!(
            "The store was not told that this replica leaves; changes wait for its lease to run out"
        ),
    }
}
