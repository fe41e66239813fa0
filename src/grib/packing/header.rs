//! The data representation of a field: GRIB 2 section 5, GRIB 1 section 4.

use serde::{Deserialize, Serialize};

use super::super::sections::FieldSections;
use super::bitmap::{Bitmap, grib1_bits};
use super::bits::{sign_magnitude, unsigned};
use super::ccsds::CcsdsHeader;
use super::complex::ComplexHeader;
use super::malformed;
use super::run_length::RunLengthHeader;
use super::sample::{Scale, ibm_float};
use super::second_order::SecondOrderHeader;
use crate::grib::Result;

/// Octets of GRIB 1 section 4 before the codes of a simple packed field.
pub(crate) const GRIB1_DATA: usize = 11;

/// What ecCodes says about the packing, under ecCodes' names. None: the key does not apply, or cannot be known without
/// decoding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackingKeys {
    pub packing_type: String,
    pub bits_per_value: u32,
    pub reference_value: f64,
    pub binary_scale_factor: i32,
    pub decimal_scale_factor: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_of_spatial_differencing: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_value_management_used: Option<u8>,
    pub bitmap_present: u8,
    /// GRIB 2: code table 5.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_representation_template_number: Option<u16>,
    /// GRIB 2: section 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_of_data_points: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_of_coded_values: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_of_values: Option<u64>,
}

/// How a field's values are packed.
#[derive(Debug, Clone, PartialEq)]
pub struct Packing {
    keys: PackingKeys,
    pub(crate) scale: Scale,
    pub(crate) method: Method,
    /// GRIB 2 section 5 octets 6-9: how many codes section 7 has. GRIB 1 does not say.
    pub(crate) coded: Option<usize>,
}

/// The packing methods and what each needs besides the scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Method {
    /// All coded values are this: the reference value as it stands. ecCodes does not apply the decimal scale factor to
    /// fields without bits, and the fields that it writes rely on that.
    Constant(f64),
    /// GRIB 1: the message says that all values are missing.
    AllMissing,
    Simple {
        bits: u32,
    },
    Complex(ComplexHeader),
    Ieee {
        bytes: u8,
    },
    Jpeg {
        bits: u32,
    },
    Png {
        bits: u32,
    },
    Ccsds(CcsdsHeader),
    Logarithm {
        bits: u32,
        offset: f64,
    },
    RunLength(RunLengthHeader),
    SecondOrder(SecondOrderHeader),
    /// Understood well enough to know that it is not decoded here.
    Refused(&'static str),
}

impl Method {
    /// Bits of every code, where that is the same for all and codes stand one after the other.
    pub fn fixed_width(&self) -> Option<u32> {
        match self {
            Method::Simple { bits } | Method::Logarithm { bits, .. } => Some(*bits),
            Method::Ieee { bytes } => Some(8 * u32::from(*bytes)),
            _ => None,
        }
    }
}

impl Packing {
    /// Reads the header of a field's packing. The bytes of section 7 are not looked at (GRIB 1: those of section 4 are).
    ///
    /// # Errors
    /// A section that is shorter than its template, or contradicts itself. A packing that is not decoded is no error
    /// here but in `decode`, so that the keys can be shown.
    pub fn from_sections(sections: &FieldSections<'_>) -> Result<Self> {
        if sections.edition == 1 { grib1(sections) } else { grib2(sections) }
    }

    /// The keys of the header under ecCodes' names.
    pub fn keys(&self) -> &PackingKeys {
        &self.keys
    }

    /// The name of the decoder that `decode` uses.
    pub fn decoder(&self) -> &'static str {
        match &self.method {
            Method::Constant(_) => "constant",
            Method::AllMissing => "missing",
            Method::Simple { .. } => "simple",
            Method::Complex(_) => "complex",
            Method::Ieee { .. } => "ieee",
            Method::Jpeg { .. } => "jpeg2000",
            Method::Png { .. } => "png",
            Method::Ccsds(_) => "ccsds",
            Method::Logarithm { .. } => "logarithm",
            Method::RunLength(_) => "run_length",
            Method::SecondOrder(_) => "second_order",
            Method::Refused(_) => "none",
        }
    }
}

/// Big-endian fields of a section by octet number (from 1), as the manual counts.
pub(crate) struct Octets<'a> {
    pub section: u8,
    pub bytes: &'a [u8],
}

impl Octets<'_> {
    pub fn unsigned(&self, octet: usize, size: usize) -> Result<u64> {
        unsigned(self.bytes, octet - 1, size).ok_or_else(|| {
            let what = format!("octets {octet} to {} are missing", octet + size - 1);
            malformed(self.section, octet - 1, what)
        })
    }

    pub fn byte(&self, octet: usize) -> Result<u8> {
        self.narrow(octet, 1)
    }

    pub fn narrow<N: TryFrom<u64>>(&self, octet: usize, size: usize) -> Result<N> {
        let number = self.unsigned(octet, size)?;
        N::try_from(number).map_err(|_| malformed(self.section, octet - 1, format!("{number} does not fit")))
    }

    pub fn signed16(&self, octet: usize) -> Result<i32> {
        Ok(sign_magnitude(self.unsigned(octet, 2)?, 16) as i32)
    }

    pub fn float(&self, octet: usize) -> Result<f64> {
        Ok(f64::from(f32::from_bits(self.narrow(octet, 4)?)))
    }
}

fn grib2(sections: &FieldSections<'_>) -> Result<Packing> {
    let octets = Octets { section: 5, bytes: sections.representation };
    let coded: u32 = octets.narrow(6, 4)?;
    let template: u16 = octets.narrow(10, 2)?;
    let mut keys = PackingKeys {
        packing_type: String::new(),
        bits_per_value: 0,
        reference_value: 0.0,
        binary_scale_factor: 0,
        decimal_scale_factor: 0,
        order_of_spatial_differencing: None,
        missing_value_management_used: None,
        bitmap_present: u8::from(sections.bitmap.is_some()),
        data_representation_template_number: Some(template),
        number_of_data_points: unsigned(sections.grid, 6, 4),
        number_of_coded_values: Some(u64::from(coded)),
        number_of_values: Some(u64::from(coded)),
    };
    let scaled = matches!(template, 0 | 2 | 3 | 40 | 41 | 42 | 50 | 51 | 61 | 40000 | 40010);
    if scaled {
        keys.reference_value = octets.float(12)?;
        keys.binary_scale_factor = octets.signed16(16)?;
        keys.decimal_scale_factor = octets.signed16(18)?;
        keys.bits_per_value = u32::from(octets.byte(20)?);
    }
    let scale = Scale::new(keys.reference_value, keys.binary_scale_factor, keys.decimal_scale_factor);
    let bits = keys.bits_per_value;
    let (name, mut method) = match template {
        0 => ("grid_simple", Method::Simple { bits }),
        2 | 3 => {
            let header = ComplexHeader::parse(&octets, template == 3)?;
            keys.order_of_spatial_differencing = Some(header.order);
            keys.missing_value_management_used = Some(header.missing_value_management);
            (if template == 2 { "grid_complex" } else { "grid_complex_spatial_differencing" }, Method::Complex(header))
        }
        4 => match octets.byte(12)? {
            1 => ("grid_ieee", Method::Ieee { bytes: 4 }),
            2 => ("grid_ieee", Method::Ieee { bytes: 8 }),
            _ => ("grid_ieee", Method::Refused("IEEE floats of another precision than 32 or 64 bits")),
        },
        40 | 40000 => ("grid_jpeg", Method::Jpeg { bits }),
        41 | 40010 => ("grid_png", Method::Png { bits }),
        42 => ("grid_ccsds", Method::Ccsds(CcsdsHeader::parse(&octets, bits)?)),
        50 => ("spectral_simple", Method::Refused("spectral coefficients are not values at points")),
        51 => ("spectral_complex", Method::Refused("spectral coefficients are not values at points")),
        53 => ("bifourier_complex", Method::Refused("spectral coefficients are not values at points")),
        61 => ("grid_simple_log_preprocessing", Method::Logarithm { bits, offset: octets.float(21)? }),
        200 => {
            let header = RunLengthHeader::parse(&octets)?;
            keys.bits_per_value = header.bits;
            ("grid_run_length", Method::RunLength(header))
        }
        _ => ("unknown", Method::Refused("no decoder for this data representation template")),
    };
    keys.packing_type = name.to_owned();
    // The groups of complex packing may have codes although their references have no bits.
    let constant = match &method {
        Method::Refused(_) => false,
        Method::Complex(header) => header.groups == 0,
        _ => scaled && bits == 0,
    };
    if constant {
        method = Method::Constant(match method {
            Method::Logarithm { offset, .. } => logarithm_value(keys.reference_value, offset),
            _ => keys.reference_value,
        });
    }
    Ok(Packing { keys, scale, method, coded: Some(coded as usize) })
}

/// GRIB 2 template 5.61: the value whose logarithm is packed.
pub(crate) fn logarithm_value(packed: f64, offset: f64) -> f64 {
    if offset == 0.0 { packed.exp() } else { packed.exp() - offset }
}

fn grib1(sections: &FieldSections<'_>) -> Result<Packing> {
    let octets = Octets { section: 4, bytes: sections.representation };
    let flags = octets.byte(4)?;
    let decimal_scale_factor = Octets { section: 1, bytes: sections.product }.signed16(27)?;
    let binary_scale_factor = octets.signed16(5)?;
    let reference_value = ibm_float(octets.narrow(7, 4)?);
    let bits = u32::from(octets.byte(11)?);
    let scale = Scale::new(reference_value, binary_scale_factor, decimal_scale_factor);
    let (spherical, complex, additional) = (flags & 0x80 != 0, flags & 0x40 != 0, flags & 0x10 != 0);
    let (mut name, mut order, mut coded) = ("grid_simple", None, None);
    let method = match (spherical, complex) {
        (true, _) => {
            name = if complex { "spectral_complex" } else { "spectral_simple" };
            Method::Refused("spectral coefficients are not values at points")
        }
        // ecCodes' mark for a field without any value.
        (false, _) if binary_scale_factor == -32767 => Method::AllMissing,
        (false, true) => {
            let header = SecondOrderHeader::parse(&octets)?;
            name = header.packing_type();
            order = Some(header.order);
            Method::SecondOrder(header)
        }
        (false, false) if additional => {
            name = "grid_simple_matrix";
            Method::Refused("a matrix of values at each point")
        }
        (false, false) => {
            if bits > 0 {
                let unused = usize::from(flags & 0x0f);
                // The section may have been read only in part, or be longer than its length can say.
                let length = sections.representation.len().max(octets.narrow(1, 3)?);
                let packed = length.saturating_sub(GRIB1_DATA).saturating_mul(8);
                coded = Some((packed.saturating_sub(unused) / bits as usize) as u64);
                Method::Simple { bits }
            } else {
                Method::Constant(reference_value)
            }
        }
    };
    let mut values = coded;
    if let Some(section) = sections.bitmap {
        let points = grib1_bits(section)?;
        values = Bitmap::of(sections, points).ok().flatten().map(|bitmap| bitmap.ones(0..points) as u64);
    }
    let keys = PackingKeys {
        packing_type: name.to_owned(),
        bits_per_value: bits,
        reference_value,
        binary_scale_factor,
        decimal_scale_factor,
        order_of_spatial_differencing: order,
        missing_value_management_used: None,
        bitmap_present: u8::from(sections.bitmap.is_some()),
        data_representation_template_number: None,
        number_of_data_points: None,
        number_of_coded_values: coded.or(values),
        number_of_values: values,
    };
    Ok(Packing { keys, scale, method, coded: None })
}
