//! Type and shape of what a node makes, by the rules of opset 17, for the operators that our graphs have.
//!
//! The builder of graphs and the check of a file use the same rules: what does not fit together cannot be built, and a
//! file that does not fit is refused.

use crate::fact::{Dim, Fact, Kind};
use crate::proto::NodeProto;

/// What is wrong with a node.
type Found<T> = Result<T, String>;

/// A node with what is known of its inputs.
struct Step<'a> {
    node: &'a NodeProto,
    inputs: &'a [&'a Fact],
}

/// What the only output of a node is.
///
/// # Errors
///
/// What does not fit, for a message that names the node.
pub(crate) fn infer(node: &NodeProto, inputs: &[&Fact]) -> Found<Fact> {
    let step = Step { node, inputs };
    match node.op_type.as_str() {
        "Abs" | "Neg" | "Sqrt" | "Exp" | "Log" | "Erf" | "Sign" | "Sigmoid" | "Softplus"
        | "Tanh" => step.same(Kind::Float),
        "Not" => step.same(Kind::Bool),
        "IsNaN" => Ok(Fact { kind: Kind::Bool, ..step.same(Kind::Float)? }),
        "Softmax" | "LogSoftmax" => step.axis().and_then(|_| step.same(Kind::Float)),
        "CumSum" => step.of(1, Kind::Int).and_then(|_| step.first(2, Kind::Float)),
        "Cast" => step.cast(),
        "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" => step.broadcast(),
        "And" | "Or" => step.broadcast_to(Kind::Bool, Kind::Bool),
        "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => {
            step.broadcast_to(step.kind(0)?, Kind::Bool)
        }
        "Where" => step.choose(),
        "ReduceSum" => step.reduce(step.ints(1)?),
        "ReduceMax" | "ReduceMin" | "ReduceMean" => step.reduce(&step.attribute("axes")?),
        "MatMul" => step.matmul(),
        "LayerNormalization" => step.layer_norm(),
        "Transpose" => step.transpose(),
        "Reshape" => step.reshape(),
        "Slice" => step.slice(),
        "Concat" => step.concat(),
        "Gather" => step.gather(),
        "Pad" => step.pad(),
        "Expand" => step.expand(),
        "Identity" => Ok(Fact { ints: None, ..step.input(0)?.clone() }),
        other => Err(format!("has the operator {other}, which no file of ours has")),
    }
}

/// The shape of two tensors that are combined number by number.
fn joined(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    let rank = a.len().max(b.len());
    let at = |shape: &[Dim], i: usize| match (i + shape.len()).checked_sub(rank) {
        Some(i) => shape[i],
        None => Dim::Fixed(1),
    };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (one, other) if one == other => Some(one),
            (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => Some(other),
            _ => None,
        })
        .collect()
}

fn in_words(shape: &[Dim]) -> String {
    let dims: Vec<String> = shape.iter().map(Dim::to_string).collect();
    format!("[{}]", dims.join(", "))
}

/// Numbers of one window, or of all where there is no batch; `None` = more than can be counted.
fn product(shape: &[Dim]) -> Option<usize> {
    shape.iter().filter_map(|dim| dim.fixed()).try_fold(1, usize::checked_mul)
}

impl Step<'_> {
    fn input(&self, i: usize) -> Found<&Fact> {
        self.inputs.get(i).copied().ok_or_else(|| format!("lacks input {i}"))
    }

    fn kind(&self, i: usize) -> Found<Kind> {
        Ok(self.input(i)?.kind)
    }

    fn of(&self, i: usize, kind: Kind) -> Found<&Fact> {
        let input = self.input(i)?;
        match input.kind == kind {
            true => Ok(input),
            false => Err(format!("input {i} is {}, wanted {}", input.kind.name(), kind.name())),
        }
    }

    /// The first of `count` inputs.
    fn first(&self, count: usize, kind: Kind) -> Found<Fact> {
        if self.inputs.len() != count {
            return Err(format!("has {} inputs, wanted {count}", self.inputs.len()));
        }
        Ok(Fact { ints: None, ..self.of(0, kind)?.clone() })
    }

    fn same(&self, kind: Kind) -> Found<Fact> {
        self.first(1, kind)
    }

    /// The whole numbers of a constant.
    fn ints(&self, i: usize) -> Found<&[i64]> {
        let found = self.of(i, Kind::Int)?.ints.as_deref();
        found.ok_or_else(|| format!("input {i} must be a constant"))
    }

    fn attribute(&self, name: &str) -> Found<Vec<i64>> {
        let found = self.node.attribute.iter().find(|attribute| attribute.name == name);
        let Some(found) = found else { return Err(format!("lacks the attribute {name}")) };
        Ok(found.i.map_or_else(|| found.ints.clone(), |i| vec![i]))
    }

    /// A place among `rank`, which may be counted from the end.
    fn place(axis: i64, rank: usize) -> Found<usize> {
        let from_end = if axis < 0 { rank as i64 } else { 0 };
        usize::try_from(axis + from_end)
            .ok()
            .filter(|&axis| axis < rank)
            .ok_or_else(|| format!("has axis {axis} of {rank}"))
    }

    /// The attribute `axis`, for the first input.
    fn axis(&self) -> Found<usize> {
        let rank = self.input(0)?.rank();
        match self.attribute("axis")?.as_slice() {
            [axis] => Self::place(*axis, rank),
            _ => Err("wanted one axis".into()),
        }
    }

    fn cast(&self) -> Found<Fact> {
        let to = self.attribute("to")?.first().and_then(|&to| i32::try_from(to).ok());
        let kind =
            to.and_then(Kind::of_number).ok_or("casts to a type that no file of ours has")?;
        let input = self.input(0)?;
        Ok(Fact::new(kind, input.shape.clone()))
    }

    fn broadcast(&self) -> Found<Fact> {
        let kind = self.kind(0)?;
        self.broadcast_to(kind, kind)
    }

    fn broadcast_to(&self, from: Kind, to: Kind) -> Found<Fact> {
        let (a, b) = (self.of(0, from)?, self.of(1, from)?);
        if self.inputs.len() != 2 {
            return Err(format!("has {} inputs, wanted 2", self.inputs.len()));
        }
        let shape = self.joined(a, b)?;
        Ok(Fact::new(to, shape))
    }

    fn joined(&self, a: &Fact, b: &Fact) -> Found<Vec<Dim>> {
        joined(&a.shape, &b.shape)
            .ok_or_else(|| format!("combines {} with {}", in_words(&a.shape), in_words(&b.shape)))
    }

    fn choose(&self) -> Found<Fact> {
        let (mask, a) = (self.of(0, Kind::Bool)?, self.input(1)?);
        let b = self.of(2, a.kind)?;
        let chosen = Fact::new(a.kind, self.joined(a, b)?);
        Ok(Fact::new(a.kind, self.joined(mask, &chosen)?))
    }

    /// Keeps the axes, with length 1.
    fn reduce(&self, axes: &[i64]) -> Found<Fact> {
        let mut reduced = Fact { ints: None, ..self.of(0, Kind::Float)?.clone() };
        if self.attribute("keepdims")? != [1] {
            return Err("wanted keepdims 1".into());
        }
        for &axis in axes {
            let axis = Self::place(axis, reduced.rank())?;
            reduced.shape[axis] = Dim::Fixed(1);
        }
        Ok(reduced)
    }

    fn matmul(&self) -> Found<Fact> {
        let (a, b) = (self.of(0, Kind::Float)?, self.of(1, Kind::Float)?);
        let refuse = || format!("multiplies {} by {}", in_words(&a.shape), in_words(&b.shape));
        if a.rank() < 2 || b.rank() < 2 {
            return Err(refuse());
        }
        let (rows, columns) = (&a.shape[a.rank() - 2..], &b.shape[b.rank() - 2..]);
        if rows[1] != columns[0] {
            return Err(refuse());
        }
        let outer = joined(&a.shape[..a.rank() - 2], &b.shape[..b.rank() - 2]);
        let mut shape = outer.ok_or_else(refuse)?;
        shape.extend([rows[0], columns[1]]);
        Ok(Fact::new(Kind::Float, shape))
    }

    fn layer_norm(&self) -> Found<Fact> {
        let normed = self.first(3, Kind::Float)?;
        let axis = self.axis()?;
        for i in [1, 2] {
            if self.of(i, Kind::Float)?.shape != normed.shape[axis..] {
                return Err(format!("input {i} has not the shape of the normed axes"));
            }
        }
        Ok(normed)
    }

    fn transpose(&self) -> Found<Fact> {
        let (input, order) = (self.input(0)?, self.attribute("perm")?);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..input.rank() as i64) {
            return Err(format!("has the order {order:?} of {} axes", input.rank()));
        }
        let shape = order.iter().map(|&axis| input.shape[axis as usize]).collect();
        Ok(Fact::new(input.kind, shape))
    }

    /// 0 keeps an axis, as the batch is kept; every other length is given.
    fn reshape(&self) -> Found<Fact> {
        let (input, wanted) = (self.input(0)?, self.ints(1)?);
        let dim = |(i, &length): (usize, &i64)| match length {
            0 => input.shape.get(i).copied(),
            _ => usize::try_from(length).ok().map(Dim::Fixed),
        };
        let shape: Option<Vec<Dim>> = wanted.iter().enumerate().map(dim).collect();
        let batches = |shape: &[Dim]| shape.iter().filter(|dim| **dim == Dim::Batch).count();
        let fits = |shape: &Vec<Dim>| {
            let count = product(shape);
            count.is_some()
                && count == product(&input.shape)
                && batches(shape) == batches(&input.shape)
        };
        let shape = shape
            .filter(fits)
            .ok_or_else(|| format!("makes {wanted:?} of {}", in_words(&input.shape)))?;
        Ok(Fact::new(input.kind, shape))
    }

    fn slice(&self) -> Found<Fact> {
        let input = self.input(0)?;
        let (starts, ends, axes) = (self.ints(1)?, self.ints(2)?, self.ints(3)?);
        let mut shape = input.shape.clone();
        for ((&start, &end), &axis) in starts.iter().zip(ends).zip(axes) {
            let axis = Self::place(axis, shape.len())?;
            let length = shape[axis].fixed().ok_or("slices the batch")?;
            let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
            let range = range.filter(|(start, end)| start < end && *end <= length);
            let (start, end) = range.ok_or_else(|| format!("takes {start}..{end} of {length}"))?;
            shape[axis] = Dim::Fixed(end - start);
        }
        Ok(Fact::new(input.kind, shape))
    }

    fn concat(&self) -> Found<Fact> {
        let (mut whole, axis) = (self.input(0)?.clone(), self.axis()?);
        whole.ints = None;
        for i in 1..self.inputs.len() {
            let part = self.of(i, whole.kind)?;
            let lengths =
                whole.shape[axis].fixed().zip(part.shape.get(axis).and_then(|d| d.fixed()));
            let mut wanted = whole.shape.clone();
            let Some((own, more)) = lengths else { return Err("joins the batch".into()) };
            wanted[axis] = Dim::Fixed(more);
            if part.shape != wanted {
                return Err(format!(
                    "joins {} to {}",
                    in_words(&part.shape),
                    in_words(&whole.shape)
                ));
            }
            let length = own.checked_add(more).ok_or("joins more than can be counted")?;
            whole.shape[axis] = Dim::Fixed(length);
        }
        Ok(whole)
    }

    fn gather(&self) -> Found<Fact> {
        let (input, axis) = (self.input(0)?, self.axis()?);
        let places = self.of(1, Kind::Int)?;
        let length = input.shape[axis].fixed().ok_or("gathers from the batch")?;
        let inside = |place: &i64| usize::try_from(*place).is_ok_and(|place| place < length);
        if let Some(ints) = &places.ints
            && !ints.iter().all(inside)
        {
            return Err(format!("gathers a place that is not among {length}"));
        }
        let (before, after) = (&input.shape[..axis], &input.shape[axis + 1..]);
        Ok(Fact::new(input.kind, [before, &places.shape, after].concat()))
    }

    fn pad(&self) -> Found<Fact> {
        let (input, pads) = (self.of(0, Kind::Float)?, self.ints(1)?);
        let rank = input.rank();
        let refuse = || format!("has the pads {pads:?} of {rank} axes");
        let lengths: Option<Vec<usize>> =
            pads.iter().map(|&pad| usize::try_from(pad).ok()).collect();
        let lengths = lengths.filter(|all| all.len() == 2 * rank).ok_or_else(refuse)?;
        let (before, after) = lengths.split_at(rank);
        let mut shape = input.shape.clone();
        for (dim, (before, after)) in shape.iter_mut().zip(before.iter().zip(after)) {
            let more = before.checked_add(*after).ok_or_else(refuse)?;
            *dim = match *dim {
                Dim::Fixed(length) => Dim::Fixed(length.checked_add(more).ok_or_else(refuse)?),
                Dim::Batch if more == 0 => Dim::Batch,
                Dim::Batch => return Err("pads the batch".into()),
            };
        }
        Ok(Fact::new(input.kind, shape))
    }

    fn expand(&self) -> Found<Fact> {
        let (input, wanted) = (self.input(0)?, self.ints(1)?);
        let dim = |&length: &i64| usize::try_from(length).ok().map(Dim::Fixed);
        let dims: Option<Vec<Dim>> = wanted.iter().map(dim).collect();
        let wanted = dims.ok_or_else(|| format!("expands to {wanted:?}"))?;
        let shape = joined(&input.shape, &wanted).ok_or_else(|| {
            format!("expands {} to {}", in_words(&input.shape), in_words(&wanted))
        })?;
        Ok(Fact::new(input.kind, shape))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::AttributeProto;

    fn ints(values: &[i64]) -> Fact {
        Fact { ints: Some(values.to_vec()), ..Fact::fixed(Kind::Int, &[values.len()]) }
    }

    fn refused(op: &str, inputs: &[&Fact], wanted: &str) {
        let axis = AttributeProto { name: "axis".into(), i: Some(0), ..AttributeProto::default() };
        let node = NodeProto { op_type: op.into(), attribute: vec![axis], ..NodeProto::default() };
        match infer(&node, inputs) {
            Ok(found) => panic!("{op} gives {found:?}"),
            Err(text) => assert!(text.contains(wanted), "{op}: {text}"),
        }
    }

    #[test]
    fn lengths_that_cannot_be_counted_are_refused() {
        let most = i64::MAX;
        let x = Fact::fixed(Kind::Float, &[2]);
        refused("Reshape", &[&x, &ints(&[most, most, 4])], "makes");
        refused("Pad", &[&x, &ints(&[most, most])], "pads");
        refused("Pad", &[&x, &ints(&[-1, 1])], "pads");
        refused("Pad", &[&x, &ints(&[1])], "pads");
        refused("Expand", &[&x, &ints(&[-1])], "expands");
        refused("Gather", &[&x, &ints(&[-1])], "not among 2");
        let long = Fact::fixed(Kind::Float, &[usize::MAX]);
        refused("Concat", &[&long, &x], "counted");
        refused("Reshape", &[&x, &ints(&[3])], "makes");
    }
}
