//! The paths of the families, one file each.

mod counts;
mod growth;
mod integrated;
mod sarima;
mod smoothing;
mod trend;
mod two_seasons;
mod walk;

use crate::frame::Frame;
use crate::mix::Family;
use crate::random::Random;

/// A path of `frame.total` points of this family.
pub(crate) fn draw(family: Family, frame: &Frame, random: &mut Random) -> Vec<f64> {
    match family {
        Family::Smoothing => smoothing::draw(frame, random),
        Family::Sarima => sarima::draw(frame, random),
        Family::Integrated => integrated::draw(frame, random),
        Family::Walk => walk::draw(frame, random),
        Family::Trend => trend::draw(frame, random),
        Family::Growth => growth::draw(frame, random),
        Family::TwoSeasons => two_seasons::draw(frame, random),
        Family::Counts => counts::draw(frame, random),
    }
}
