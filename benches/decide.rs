//! What a decision costs with 10, 1,000 and 10,000 suspensions, beside the same suspensions written
//! in CEL and found through an index by target; and what it costs to compile them.
//!
//! CEL's side is made as cheap as it can be: programs are compiled and each request's variables are
//! bound before the clock runs, only the offer's own suspensions are looked at, and the first match
//! ends the search, while `decide` checks criteria too and reports every match.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark may panic, and its macro writes an undocumented function"
)]

mod world;

use cel::{Context, Program, Value};
use criterion::{Criterion, criterion_group, criterion_main};
use offergate::decision::{Snapshot, decide};
use offergate::domain::{Relationship, Revision, RuleSet, Scope};
use std::collections::HashMap;
use std::fmt::Write;
use std::hint::black_box;
use world::Ask;

const SIZES: [usize; 3] = [10, 1_000, 10_000];

/// Enough that they do not all stay in the processor's nearest cache.
const ASKS: usize = 8_192;

/// Fewer for CEL: each keeps its variables bound.
const CEL_ASKS: usize = 256;

/// The suspensions as CEL programs, by the id of what they stop.
struct Cel {
    programs: HashMap<String, Vec<Program>>,
    /// The ids behind each offer: its own, its product's, its vendors'.
    behind: HashMap<String, Vec<String>>,
}

impl Cel {
    fn compile(rules: &RuleSet) -> Self {
        let mut programs: HashMap<String, Vec<Program>> = HashMap::new();
        for suspension in rules.suspensions.values() {
            let mut source = one_of("action", suspension.scope.actions.iter().map(|it| it.name()));
            source += &scope_source(&suspension.scope);
            write!(source, " && {} <= now", suspension.from.as_second()).unwrap();
            if let Some(until) = suspension.until {
                write!(source, " && now < {}", until.as_second()).unwrap();
            }
            let target = suspension.target.id().to_owned();
            programs.entry(target).or_default().push(Program::compile(&source).unwrap());
        }
        let behind = rules.offers.values().map(|offer| {
            let product = &rules.products[&offer.product];
            let vendors = product.vendors.iter().map(|vendor| vendor.as_str().to_owned());
            let own = [offer.id.as_str().to_owned(), product.id.as_str().to_owned()];
            (offer.id.as_str().to_owned(), own.into_iter().chain(vendors).collect())
        });
        Self { behind: behind.collect(), programs }
    }

    fn is_suspended(&self, offer: &str, variables: &Context<'_, '_>) -> bool {
        let lists = self.behind[offer].iter().filter_map(|target| self.programs.get(target));
        let mut programs = lists.flatten();
        programs.any(|program| program.execute(variables).unwrap() == Value::Bool(true))
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
    context
}

fn compile(rules: &RuleSet) -> Snapshot {
    Snapshot::compile(rules, Revision(1)).unwrap()
}

fn decisions(criterion: &mut Criterion) {
    let asks = world::asks(ASKS);
    let requests: Vec<_> = asks.iter().map(Ask::request).collect();
    let bound: Vec<_> = asks.iter().take(CEL_ASKS).map(variables).collect();
    let now = world::now();
    for size in SIZES {
        let rules = world::rules(size);
        let snapshot = compile(&rules);
        let cel = Cel::compile(&rules);
        let mut suspended = 0;
        for ((ask, request), variables) in asks.iter().zip(&requests).zip(&bound) {
            let ours = !decide(request, &snapshot, now).suspensions.is_empty();
            assert_eq!(ours, cel.is_suspended(&ask.offer, variables), "{ask:?} of {size}");
            suspended += usize::from(ours);
        }
        println!("{size} suspensions: {suspended} of {CEL_ASKS} requests are suspended, for both");

        let mut turn = 0;
        criterion.bench_function(&format!("decide/{size}"), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % ASKS;
                decide(black_box(&requests[turn]), &snapshot, now)
            });
        });
        criterion.bench_function(&format!("cel/{size}"), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % CEL_ASKS;
                cel.is_suspended(black_box(&asks[turn].offer), &bound[turn])
            });
        });
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
