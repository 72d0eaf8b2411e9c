//! The stack's template, and what it takes to get from one to another.

use std::collections::BTreeMap;

use stage::dms::Arn;
use stage::stack::{Detail, ResourceChange};

use stage::lives::{Edit, TaskPlan};

/// What a template describes. A generation is what needs a replacement when it changes; a version doesn't.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Template {
    pub(crate) resources: BTreeMap<String, Resource>,
}

/// An endpoint, an instance or a task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Resource {
    pub(crate) generation: u32,
    pub(crate) version: u32,
    pub(crate) tags: u32,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Source,
    Target,
    Instance,
    /// What it uses comes with its generation: a replaced endpoint has another ARN.
    Task {
        loads: bool,
        uses: [(String, u32); 3],
    },
}

/// What CloudFormation does about a resource.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Action {
    Tag,
    Modify,
    Replace,
    Create,
}

/// Endpoints and instances, before tasks: the order in which they are made.
const THINGS: [(&str, Kind); 6] = [
    ("Instance0", Kind::Instance),
    ("Instance1", Kind::Instance),
    ("Source0", Kind::Source),
    ("Source1", Kind::Source),
    ("Target0", Kind::Target),
    ("Target1", Kind::Target),
];

impl Template {
    pub(crate) fn new(tasks: &[TaskPlan]) -> Self {
        let mut template = Self::default();
        for (name, kind) in THINGS {
            template.resources.insert(name.to_owned(), Resource::new(kind));
        }
        for (n, task) in tasks.iter().enumerate() {
            template.add(format!("Task{n}"), task);
        }
        template
    }

    fn add(&mut self, name: String, task: &TaskPlan) {
        let (wiring, instance) = (u8::from(task.wiring), u8::from(task.instance));
        let uses = [
            (format!("Source{wiring}"), 0),
            (format!("Target{wiring}"), 0),
            (format!("Instance{instance}"), 0),
        ];
        let kind = Kind::Task { loads: task.loads, uses };
        self.resources.insert(name, Resource::new(kind));
    }

    pub(crate) fn tasks(&self) -> Vec<String> {
        let tasks = self.resources.iter().filter(|(_, it)| it.is_task());
        tasks.map(|(name, _)| name.clone()).collect()
    }

    fn task(&mut self, n: u8) -> Option<(String, &mut Resource)> {
        let tasks = self.tasks();
        let name = tasks.get(usize::from(n) % tasks.len().max(1))?;
        let task = self.resources.get_mut(name)?;
        Some((name.clone(), task))
    }

    fn thing(&mut self, n: u8) -> &mut Resource {
        let (name, _) = &THINGS[usize::from(n) % THINGS.len()];
        self.resources.get_mut(*name).unwrap()
    }

    /// The template after these edits, and the resources of which the change set says `Conditional`. `serial` makes the
    /// names of what is added.
    pub(crate) fn edited(&self, edits: &[Edit], serial: &mut u32) -> (Self, Vec<String>) {
        let mut new = self.clone();
        let mut conditional = Vec::new();
        for edit in edits {
            match edit {
                Edit::Thing(n) => new.thing(*n).version += 1,
                Edit::ThingTags(n) => new.thing(*n).tags += 1,
                Edit::ReplaceThing(n) => new.thing(*n).generation += 1,
                Edit::Add(task) => {
                    *serial += 1;
                    new.add(format!("Task9{serial:02}"), task);
                }
                Edit::Task(n)
                | Edit::TaskConditionally(n)
                | Edit::TaskTags(n)
                | Edit::Replace(n, _)
                | Edit::Rewire(n)
                | Edit::Remove(n) => {
                    let Some((name, task)) = new.task(*n) else {
                        continue;
                    };
                    match edit {
                        Edit::TaskTags(_) => task.tags += 1,
                        Edit::Replace(..) => task.generation += 1,
                        Edit::Rewire(_) => task.rewire(),
                        Edit::Remove(_) => drop(new.resources.remove(&name)),
                        _ => task.version += 1,
                    }
                    if matches!(edit, Edit::TaskConditionally(_) | Edit::Replace(_, true)) {
                        conditional.push(name);
                    }
                }
            }
        }
        let generations: BTreeMap<String, u32> =
            new.resources.iter().map(|(name, it)| (name.clone(), it.generation)).collect();
        for resource in new.resources.values_mut() {
            if let Kind::Task { uses, .. } = &mut resource.kind {
                for (name, generation) in uses {
                    *generation = generations[name];
                }
            }
        }
        (new, conditional)
    }

    /// What an update to `new` does about a resource of `new`.
    pub(crate) fn action(&self, new: &Self, name: &str) -> Option<Action> {
        let after = new.resources.get(name)?;
        let Some(before) = self.resources.get(name) else {
            return Some(Action::Create);
        };
        let rewired = before.kind != after.kind;
        if rewired || before.generation != after.generation {
            Some(Action::Replace)
        } else if before.version != after.version {
            Some(Action::Modify)
        } else {
            (before.tags != after.tags).then_some(Action::Tag)
        }
    }

    /// The change set for an update to `new`.
    pub(crate) fn changes(
        &self,
        new: &Self,
        conditional: &[String],
        physical: &BTreeMap<String, Arn>,
    ) -> Vec<ResourceChange> {
        let mut names: Vec<&String> = self.resources.keys().chain(new.resources.keys()).collect();
        names.sort();
        names.dedup();
        let change = |name: &String| {
            let action = self.action(new, name);
            if action.is_none() && new.resources.contains_key(name) {
                return None;
            }
            let own = self.resources.get(name).map(|it| it.generation)
                == new.resources.get(name).map(|it| it.generation);
            let replacement = match action {
                Some(Action::Modify | Action::Replace) if conditional.contains(name) => Some("Conditional"),
                // Whether another resource's replacement makes another value is known only once it is made.
                Some(Action::Replace) if own => Some("Conditional"),
                Some(Action::Replace) => Some("True"),
                Some(Action::Modify | Action::Tag) => Some("False"),
                Some(Action::Create) | None => None,
            };
            let scope = match action {
                Some(Action::Tag) => "Tags",
                _ => "Properties",
            };
            let either = self.resources.get(name).or(new.resources.get(name))?;
            Some(ResourceChange {
                action: match action {
                    Some(Action::Create) => "Add",
                    None => "Remove",
                    _ => "Modify",
                }
                .to_owned(),
                logical_id: name.clone(),
                physical_id: physical.get(name).map(|arn| arn.as_str().to_owned()),
                resource_type: either.resource_type().to_owned(),
                replacement: replacement.map(str::to_owned),
                scope: vec![scope.to_owned()],
                details: vec![Detail::edited(scope, None)],
                ..ResourceChange::default()
            })
        };
        names.into_iter().filter_map(change).collect()
    }

    /// The tasks that an update to `new` concerns.
    pub(crate) fn touched(&self, new: &Self) -> Vec<String> {
        let matters = |name: &String| {
            let action = self.action(new, name);
            matches!(action, Some(Action::Modify | Action::Replace)) || !new.resources.contains_key(name)
        };
        let is_touched = |(name, it): &(&String, &Resource)| match &it.kind {
            Kind::Task { uses, .. } => matters(name) || uses.iter().any(|(used, _)| matters(used)),
            _ => false,
        };
        // What is added may use what changes.
        let both = new.resources.iter().chain(&self.resources);
        let touched = both.filter(is_touched);
        touched.map(|(name, _)| name.clone()).collect()
    }
}

impl Resource {
    fn new(kind: Kind) -> Self {
        Self { generation: 0, version: 0, tags: 0, kind }
    }

    pub(crate) fn is_task(&self) -> bool {
        matches!(self.kind, Kind::Task { .. })
    }

    fn rewire(&mut self) {
        if let Kind::Task { uses, .. } = &mut self.kind {
            for (used, _) in uses.iter_mut().take(2) {
                let other = if used.ends_with('0') { "1" } else { "0" };
                used.pop();
                used.push_str(other);
            }
        }
    }

    fn resource_type(&self) -> &'static str {
        match self.kind {
            Kind::Source | Kind::Target => "AWS::DMS::Endpoint",
            Kind::Instance => "AWS::DMS::ReplicationInstance",
            Kind::Task { .. } => "AWS::DMS::ReplicationTask",
        }
    }
}
