//! One process: how soon it is ready, how long its requests take, and how much memory it needed.

use std::time::{Duration, Instant};

use anyhow::Context;
use stage::dms::Pace;
use stage::dms::TaskStatus;
use stage::lambda::Function;

use crate::NAMES;
use crate::figures::Samples;
use crate::scene::Scene;

/// So many processes of each function, one after the other and the functions in turn, so that a noisy moment hits all.
pub(crate) const ROUNDS: usize = 31;
/// So many requests after the first one.
const WARM: usize = 5;
const TIME: Duration = Duration::from_secs(60);

/// Of one function: times in milliseconds, memory in MB (10⁶ bytes).
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    pub(crate) cold: Samples,
    pub(crate) first: Samples,
    pub(crate) warm: Samples,
    pub(crate) cpu: Samples,
    pub(crate) memory: Samples,
}

/// Measures each function with a request that finds everything as it should be.
pub(crate) async fn all() -> anyhow::Result<Vec<Figures>> {
    let mut all: Vec<_> = NAMES
        .iter()
        .map(|name| Figures {
            name,
            cold: Samples::default(),
            first: Samples::default(),
            warm: Samples::default(),
            cpu: Samples::default(),
            memory: Samples::default(),
        })
        .collect();
    let pace = Pace::immediate();
    let scene = Scene::new(pace, 1, TaskStatus::Running, false).await?;
    let scene = scene.with_database().await?;
    // What the database lacks is made before, and not measured.
    let function = scene.start("db-init").await?;
    let event = scene.event("Create", "db-init");
    scene.succeed(&function, event, TIME).await?;
    for _ in 0..ROUNDS {
        for figures in &mut all {
            figures.round(&scene).await?;
        }
    }
    Ok(all)
}

impl Figures {
    async fn round(&mut self, scene: &Scene) -> anyhow::Result<()> {
        let function = scene.start(self.name).await?;
        self.cold.add(milliseconds(function.ready().await));
        for number in 0..=WARM {
            let event = scene.event("Update", self.name);
            let began = Instant::now();
            scene.succeed(&function, event, TIME).await?;
            let took = milliseconds(began.elapsed());
            match number {
                0 => {
                    self.first.add(took);
                    self.cpu.add(milliseconds(cpu_time(&function)?));
                }
                _ => self.warm.add(took),
            }
        }
        self.memory.add(peak_memory(&function)?);
        function.end().await;
        Ok(())
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The time that a process has computed so far. (The functions have one thread.)
fn cpu_time(function: &Function) -> anyhow::Result<Duration> {
    let pid = function.pid().context("the process has ended")?;
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanoseconds = text.split(' ').next().context("/proc tells no CPU time")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

/// The most memory that a process ever had, in MB.
fn peak_memory(function: &Function) -> anyhow::Result<f64> {
    let pid = function.pid().context("the process has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("/proc tells no peak")?;
    let kib: f64 = peak.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024.0 / 1e6)
}
