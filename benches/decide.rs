//! What a decision costs with 10, 1,000 and 10,000 suspensions, beside the same rules written in CEL
//! and found through an index by target; and what it costs to compile them.
//!
//! Both give the same answer, which is asserted before the clock runs: whether the customer is
//! eligible, and every suspension that matches. `decide` is asked about a request that was just read, as
//! the service asks: sixty-four are made at a time while the clock stands still. `decide_from_memory`
//! goes through thousands that were made beforehand, which are six megabytes: what it costs more is
//! fetching them. `cel` is made as cheap as it can be: programs are compiled and each request's variables
//! are bound beforehand. `cel_binding` binds them too, as `decide` has to read its request.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may panic")]

mod world;

use cel::{Context, Program, Value};
use criterion::{Criterion, criterion_group, criterion_main};
use offergate::decision::{Snapshot, decide};
use offergate::domain::{CheckRequest, Outcome, Relationship, Revision, RuleSet, Scope};
use std::collections::HashMap;
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};
use world::Ask;

const SIZES: [usize; 3] = [10, 1_000, 10_000];

/// Enough that they do not all stay in the processor's nearest cache.
const ASKS: usize = 8_192;

/// How many requests are made at a time: the processor's near cache has room for them.
const JUST_READ: usize = 64;

/// Fewer for CEL: each keeps its variables bound.
const CEL_ASKS: usize = 256;

/// The rules as CEL programs.
struct Cel {
    offers: HashMap<String, CelOffer>,
    /// By the id of what they stop, each with its own id.
    suspensions: HashMap<String, Vec<(String, Program)>>,
}

struct CelOffer {
    criteria: Program,
    /// The ids behind the offer: its own, its product's, its vendors'.
    behind: Vec<String>,
}

impl Cel {
    fn compile(rules: &RuleSet) -> Self {
        let mut suspensions: HashMap<String, Vec<(String, Program)>> = HashMap::new();
        for suspension in rules.suspensions.values() {
            let mut source = one_of("action", suspension.scope.actions.iter().map(|it| it.name()));
            source += &scope_source(&suspension.scope);
            write!(source, " && {} <= now", suspension.from.as_second()).unwrap();
            if let Some(until) = suspension.until {
                write!(source, " && now < {}", until.as_second()).unwrap();
            }
            let program = (suspension.id.to_string(), Program::compile(&source).unwrap());
            suspensions.entry(suspension.target.id().to_owned()).or_default().push(program);
        }
        let offers = rules.offers.values().map(|offer| {
            let product = &rules.products[&offer.product];
            let vendors = product.vendors.iter().map(|vendor| vendor.as_str().to_owned());
            let own = [offer.id.as_str().to_owned(), product.id.as_str().to_owned()];
            let criteria = Program::compile(&offer.requires.join(" && ")).unwrap();
            let behind = own.into_iter().chain(vendors).collect();
            (offer.id.as_str().to_owned(), CelOffer { criteria, behind })
        });
        Self { offers: offers.collect(), suspensions }
    }

    /// Whether the customer is eligible, and the suspensions that match.
    fn decide(&self, offer: &str, variables: &Context<'_, '_>) -> (bool, Vec<&str>) {
        let says_yes = |program: &Program| program.execute(variables).unwrap() == Value::Bool(true);
        let offer = &self.offers[offer];
        let lists = offer.behind.iter().filter_map(|target| self.suspensions.get(target));
        let matching = lists.flatten().filter(|(_, program)| says_yes(program));
        let matching: Vec<&str> = matching.map(|(id, _)| id.as_str()).collect();
        (says_yes(&offer.criteria) && matching.is_empty(), matching)
    }
}

fn one_of<'a>(variable: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
    format!("{variable} in [{}]", names.join(", "))
}

/// The dimensions that are stated.
fn scope_source(scope: &Scope) -> String {
    let dimensions = [
        ("country", scope.countries.iter().map(|it| it.code()).collect::<Vec<_>>()),
        ("segment", scope.segments.iter().map(|it| it.as_str()).collect()),
        ("channel", scope.channels.iter().map(|it| it.as_str()).collect()),
        ("relationship", scope.relationships.iter().map(|it| it.name()).collect()),
    ];
    let stated = dimensions.into_iter().filter(|(_, names)| !names.is_empty());
    stated.map(|(name, names)| format!(" && {}", one_of(name, names.into_iter()))).collect()
}

fn variables(ask: &Ask) -> Context<'static, 'static> {
    let relationship = match ask.relationship {
        Relationship::New => "NEW",
        Relationship::Existing => "EXISTING",
    };
    let mut context = Context::default();
    context.add_variable_from_value("action", "OFFER");
    context.add_variable_from_value("country", ask.country);
    context.add_variable_from_value("segment", ask.segment);
    context.add_variable_from_value("channel", ask.channel);
    context.add_variable_from_value("relationship", relationship);
    context.add_variable_from_value("now", world::now().as_second());
    for (name, value) in ask.attributes() {
        context.add_variable_from_value(name, value);
    }
    context
}

fn compile(rules: &RuleSet) -> Snapshot {
    Snapshot::compile(rules, Revision(1)).unwrap()
}

fn decisions(criterion: &mut Criterion) {
    let asks = world::asks(ASKS);
    in_turns(&asks);
    let requests: Vec<_> = asks.iter().map(Ask::request).collect();
    let bound: Vec<_> = asks.iter().take(CEL_ASKS).map(variables).collect();
    let now = world::now();
    for size in SIZES {
        let rules = world::rules(size);
        let snapshot = compile(&rules);
        let cel = Cel::compile(&rules);
        let (mut eligible, mut matches) = (0, 0);
        for ((ask, request), variables) in asks.iter().zip(&requests).zip(&bound) {
            let decision = decide(request, &snapshot, now);
            let ids = decision.suspensions.iter().map(|hit| hit.suspension.id.as_str());
            let mut ids: Vec<&str> = ids.collect();
            let (yes, mut cel_ids) = cel.decide(&ask.offer, variables);
            ids.sort_unstable();
            cel_ids.sort_unstable();
            assert_eq!(
                (decision.outcome == Outcome::Eligible, &ids),
                (yes, &cel_ids),
                "{ask:?} of {size}"
            );
            eligible += usize::from(yes);
            matches += ids.len();
        }
        println!(
            "{size} suspensions: both say that {eligible} of {CEL_ASKS} requests are eligible, \
             and report {matches} suspensions"
        );
        measure(criterion, size, &requests, &snapshot, (&cel, &asks, &bound));
    }
}

fn measure(
    criterion: &mut Criterion,
    size: usize,
    requests: &[CheckRequest<'_>],
    snapshot: &Snapshot,
    (cel, asks, bound): (&Cel, &[Ask], &[Context<'_, '_>]),
) {
    let now = world::now();
    let mut turn = 0;
    let mut batches = asks.chunks_exact(JUST_READ).cycle();
    criterion.bench_function(&format!("decide/{size}"), |bencher| {
        bencher.iter_custom(|times| {
            let batches = batches.by_ref().take(times as usize);
            let taken: Duration = batches.map(|batch| just_read(batch, snapshot)).sum();
            taken / JUST_READ as u32
        });
    });
    criterion.bench_function(&format!("decide_from_memory/{size}"), |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % ASKS;
            decide(black_box(&requests[turn]), snapshot, now)
        });
    });
    criterion.bench_function(&format!("cel/{size}"), |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % CEL_ASKS;
            cel.decide(black_box(&asks[turn].offer), &bound[turn])
        });
    });
    criterion.bench_function(&format!("cel_binding/{size}"), |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % ASKS;
            let bound = variables(black_box(&asks[turn]));
            cel.decide(&asks[turn].offer, &bound).0
        });
    });
}

/// How long a batch takes to decide, its requests being made before.
#[expect(clippy::disallowed_methods, reason = "measures, on a machine that is awake")]
fn just_read(batch: &[Ask], snapshot: &Snapshot) -> Duration {
    let now = world::now();
    let requests: Vec<_> = batch.iter().map(Ask::request).collect();
    let begun = Instant::now();
    for request in &requests {
        let decision = decide(black_box(request), snapshot, now);
        // Where it was written: nobody moves it.
        black_box(&decision);
    }
    begun.elapsed()
}

/// Prints what a decision costs with each size, taking turns, so that a slow second hits all alike; and what it
/// costs more than with the first size, by the rounds. A service decides by one snapshot for long, so each turn
/// begins with as many decisions that are not counted: the snapshots of the other turns have left the cache by then.
fn in_turns(asks: &[Ask]) {
    const ROUNDS: usize = 300;
    let snapshots = SIZES.map(|size| compile(&world::rules(size)));
    let round = |_| {
        snapshots.each_ref().map(|snapshot| {
            let all = || asks.chunks_exact(JUST_READ).map(|batch| just_read(batch, snapshot)).sum();
            let (_, taken): (Duration, Duration) = (all(), all());
            taken.as_secs_f64() * 1e9 / asks.len() as f64
        })
    };
    let rounds: Vec<[f64; SIZES.len()]> = (0..ROUNDS).map(round).collect();
    let median = |of: &dyn Fn(&[f64; SIZES.len()]) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[ROUNDS / 2]
    };
    for (place, size) in SIZES.into_iter().enumerate() {
        let (taken, more) = (median(&|it| it[place]), median(&|it| it[place] - it[0]));
        println!(
            "in turns, {size} suspensions: {taken:.0} ns a decision, {more:.0} ns more than with the first"
        );
    }
}

fn compiling(criterion: &mut Criterion) {
    let rules = world::rules(10_000);
    let before = resident_kib();
    let snapshot = compile(&rules);
    println!("10000 suspensions: compiled, {} KiB more are resident", resident_kib() - before);
    drop(snapshot);
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(20);
    group.bench_function("10000", |bencher| bencher.iter(|| compile(black_box(&rules))));
    group.finish();
}

/// This process's memory in use.
fn resident_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

// Compiling first, while the memory is not yet full of what is already free again.
criterion_group!(benches, compiling, decisions);
criterion_main!(benches);
