//! Which schedules there are, and one run by one of them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use stage::aws::Trouble;
use stage::lives::{Life, Mishap};
use tokio::runtime;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::cloudformation::CloudFormation;
use crate::gate::{Actor, CANCELLER, Gate, HANDLERS, Leave, Waiting, hash};
use crate::scenarios::scenarios;
use crate::world::World;

/// What is next: somebody gets leave, or time passes until somebody comes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Event {
    Leave(Actor),
    Time,
}

const FAULTS: [Mishap; 4] = [
    Mishap::Meets(Trouble::Undone),
    Mishap::Meets(Trouble::Done),
    Mishap::Meets(Trouble::Throttled),
    Mishap::DiesBefore,
];

/// Where a schedule departs from what would be next by itself.
#[derive(Clone, Debug, Default)]
struct Plan {
    /// At these steps something else comes first, in place of who waits.
    preemptions: Vec<(usize, Event)>,
    /// At this step this goes wrong.
    fault: Option<(usize, Mishap)>,
}

impl Plan {
    /// The step from which on it departs no more.
    fn ends(&self) -> usize {
        let preempted = self.preemptions.last().map_or(0, |(step, _)| step + 1);
        preempted.max(self.fault.map_or(0, |(step, _)| step + 1))
    }

    /// How many departures are left to those that go on from it.
    fn budget(&self) -> (usize, bool) {
        match self.fault {
            Some(_) => (1 - self.preemptions.len().min(1), false),
            None => (2 - self.preemptions.len().min(2), self.preemptions.len() < 2),
        }
    }
}

/// A step of a run that might have been another.
struct Step {
    number: usize,
    others: Vec<Event>,
    /// A handler's call, which can go wrong.
    is_call: bool,
}

struct Outcome {
    steps: Vec<Step>,
    fault: Option<String>,
}

/// What is to be played, scenario by scenario in turn.
#[derive(Default)]
struct Queue {
    plans: Vec<VecDeque<Plan>>,
    turn: usize,
}

impl Queue {
    fn next(&mut self) -> Option<(usize, Plan)> {
        let count = self.plans.len();
        (0..count).find_map(|_| {
            let number = self.turn % count;
            self.turn += 1;
            self.plans[number].pop_front().map(|plan| (number, plan))
        })
    }

    fn len(&self) -> usize {
        self.plans.iter().map(VecDeque::len).sum()
    }
}

/// All that is shared by those who explore.
pub(crate) struct Explorer {
    scenarios: Vec<(&'static str, Life)>,
    queue: Mutex<Queue>,
    /// How many are at work.
    at_work: Mutex<usize>,
    visited: Mutex<HashMap<(usize, u64), (usize, bool)>>,
    runs: Mutex<BTreeMap<&'static str, [usize; 3]>>,
    faults: Mutex<Vec<String>>,
}

impl Explorer {
    /// One that begins with each scenario as it goes by itself.
    pub(crate) fn new() -> Self {
        let scenarios = scenarios();
        let plans = scenarios.iter().map(|_| VecDeque::from([Plan::default()])).collect();
        Self {
            scenarios,
            queue: Mutex::new(Queue { plans, turn: 0 }),
            at_work: Mutex::default(),
            visited: Mutex::default(),
            runs: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    /// Goes through schedules, those with few departures first.
    pub(crate) fn work(&self, until: Option<Instant>) {
        while until.is_none_or(|until| Instant::now() < until) && self.faults.lock().unwrap().len() < 3 {
            let next = {
                let mut queue = self.queue.lock().unwrap();
                let next = queue.next();
                *self.at_work.lock().unwrap() += usize::from(next.is_some());
                next
            };
            let Some((number, plan)) = next else {
                if *self.at_work.lock().unwrap() == 0 {
                    return;
                }
                std::thread::yield_now();
                continue;
            };
            let outcome = self.run(number, &plan);
            let name = self.scenarios[number].0;
            let departures = plan.preemptions.len() + usize::from(plan.fault.is_some());
            self.runs.lock().unwrap().entry(name).or_default()[departures] += 1;
            if let Some(fault) = outcome.fault {
                self.faults.lock().unwrap().push(format!("{name}, {plan:?}:\n{fault}"));
            }
            self.queue.lock().unwrap().plans[number].extend(next_plans(&plan, &outcome.steps));
            *self.at_work.lock().unwrap() -= 1;
        }
    }

    pub(crate) fn report(&self, all: bool) {
        let runs = self.runs.lock().unwrap();
        let mut total = 0;
        for (name, [none, one, two]) in runs.iter() {
            println!("{name}: {none} schedule without a departure, {one} with one, {two} with two");
            total += none + one + two;
        }
        let left = self.queue.lock().unwrap().len();
        let states = self.visited.lock().unwrap().len();
        println!("{total} schedules through {states} states, and {left} were left");
        let faults = self.faults.lock().unwrap();
        assert!(faults.is_empty(), "{}", faults.join("\n\n"));
        assert!(!all || left == 0);
        assert_eq!(runs.len(), self.scenarios.len(), "not every scenario was played");
    }

    /// Plays a scenario by a schedule.
    fn run(&self, number: usize, plan: &Plan) -> Outcome {
        let runtime =
            runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        // The SDK's pauses between two attempts are random.
        fastrand::seed(1);
        runtime.block_on(self.play(number, plan))
    }

    async fn play(&self, number: usize, plan: &Plan) -> Outcome {
        let life = self.scenarios[number].1.clone();
        let world = World::new(&life.nature);
        let mut cloudformation = CloudFormation::new(world.clone());
        cloudformation.create(&life).await;
        // Whoever waits for leave may wait for longer than others have patience.
        world.state().has_incidents = true;
        world.gate.closes();
        let World { dms, stack, gate, .. } = &world;
        let mut playing = tokio::spawn(async move {
            let world = cloudformation.live(&life).await;
            world.gate.arrives();
            world
        });
        let mut steps: Vec<Step> = Vec::new();
        // Whoever is held back is so with the call that waits, and not with the next one.
        let (mut current, mut parked): (Option<Actor>, Vec<u64>) = (None, Vec::new());
        let ended = loop {
            let arrivals = is_quiet(gate).await;
            if playing.is_finished() {
                break (&mut playing).await.map_err(|error| error.to_string());
            }
            let waiting = gate.waiting();
            parked.retain(|number| waiting.iter().any(|it| it.number == *number));
            let free = || waiting.iter().filter(|it| !parked.contains(&it.number));
            let next = free().find(|it| Some(it.actor) == current).or_else(|| free().next());
            let held_back = next.map(|it| it.number);
            let by_itself = next.map_or(Event::Time, |it| Event::Leave(it.actor));
            let step = steps.len();
            let departs = plan.preemptions.iter().find(|(at, _)| *at == step).map(|(_, event)| *event);
            let taken = departs.unwrap_or(by_itself);
            let leave: Leave = plan.fault.filter(|(at, _)| *at == step).map(|(_, fault)| fault);
            parked.extend(held_back.filter(|_| departs.is_some()));
            if step >= plan.ends() && !waiting.is_empty() {
                let calls: Vec<_> =
                    waiting.iter().map(|it| (it.actor, &it.what, parked.contains(&it.number))).collect();
                let state = hash((
                    dms.state(),
                    stack.state(),
                    world.text(),
                    gate.heard(),
                    dms.time(),
                    calls,
                    current,
                ));
                if !self.is_news((number, state), plan.budget()) {
                    return Outcome { steps, fault: None };
                }
            }
            let events = waiting.iter().map(|it| Event::Leave(it.actor)).chain([Event::Time]);
            let others = events.filter(|event| *event != taken && !waiting.is_empty()).collect();
            let what = waiting.iter().find(|it| taken == Event::Leave(it.actor));
            let is_call = matches!(taken, Event::Leave(actor) if (HANDLERS..CANCELLER).contains(&actor));
            steps.push(Step { number: step, others, is_call });
            if steps.len() > 5_000 {
                break Err("it comes to no end".to_owned());
            }
            if let Some(Waiting { actor, what, .. }) = what {
                world.note(format!("{step}: {what} {leave:?} ({actor})"));
            }
            if let Event::Leave(actor) = taken {
                current = Some(actor);
                gate.give(actor, leave);
            } else if timeout(Duration::from_secs(2_000), gate.arrival_after(arrivals)).await.is_err() {
                // Nobody comes any more: whoever was held back has to go on.
                match waiting.first() {
                    Some(it) => gate.give(it.actor, None),
                    None => break Err("nobody does anything any more".to_owned()),
                }
            }
        };
        let faults = ended.map_or_else(|fault| vec![fault], |world| world.faults());
        let fault = (!faults.is_empty()).then(|| format!("{}\n{}", faults.join("\n"), world.log()));
        Outcome { steps, fault }
    }

    /// Whether a state has not been gone on from with as many departures to come.
    fn is_news(&self, state: (usize, u64), budget: (usize, bool)) -> bool {
        let mut visited = self.visited.lock().unwrap();
        match visited.get_mut(&state) {
            Some(before) if before.0 >= budget.0 && before.1 >= budget.1 => false,
            Some(before) => {
                *before = (before.0.max(budget.0), before.1 | budget.1);
                true
            }
            None => {
                visited.insert(state, budget);
                true
            }
        }
    }
}

/// The schedules that depart from a run in one more place.
fn next_plans(plan: &Plan, steps: &[Step]) -> impl Iterator<Item = Plan> {
    let (preemptions, may_fail) = plan.budget();
    let from = plan.ends();
    let mut plans = Vec::new();
    for step in steps.iter().filter(|step| step.number >= from) {
        if preemptions > 0 {
            for event in &step.others {
                let mut next = plan.clone();
                next.preemptions.push((step.number, *event));
                plans.push(next);
            }
        }
        if may_fail && step.is_call && plan.preemptions.len() < 2 {
            for fault in FAULTS {
                plans.push(Plan { fault: Some((step.number, fault)), ..plan.clone() });
            }
        }
    }
    plans.into_iter()
}

/// Lets all go on that can, until nobody can. How many have come by then.
async fn is_quiet(gate: &Gate) -> u64 {
    loop {
        let before = gate.arrivals();
        for _ in 0..20 {
            yield_now().await;
        }
        if gate.arrivals() == before {
            return before;
        }
    }
}
