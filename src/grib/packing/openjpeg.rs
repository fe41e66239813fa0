//! A safe face for the one thing that is needed of OpenJPEG: the integers of a code stream with one component.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;

use openjpeg_sys as opj;

/// Decodes `stream`, which must have one component of `count` samples, and gives its integers to `use_codes`, or says what
/// is wrong. The caller has read the sizes in the header: OpenJPEG allocates by them.
pub(crate) fn decode<R>(
    stream: &[u8],
    count: usize,
    use_codes: impl FnOnce(&[i32], u32) -> R,
) -> Result<R, &'static str> {
    let mut source = Source { bytes: stream, at: 0 };
    let mut parameters = MaybeUninit::<opj::opj_dparameters_t>::zeroed();
    // Every handle is checked for null, used as OpenJPEG documents it and destroyed once, by its owner.
    // SAFETY: all zeros are valid parameters (numbers, arrays of them), and the function sets the defaults; the handles as
    // said above; `source` outlives the stream that points to it, and nothing else uses it meanwhile.
    unsafe {
        opj::opj_set_default_decoder_parameters(parameters.as_mut_ptr());
        let codec = Codec(opj::opj_create_decompress(opj::CODEC_FORMAT::OPJ_CODEC_J2K));
        let reader = Stream(opj::opj_stream_create(stream.len().clamp(4096, 1 << 20), 1));
        if codec.0.is_null() || reader.0.is_null() || opj::opj_setup_decoder(codec.0, parameters.as_mut_ptr()) == 0 {
            return Err("OpenJPEG could not be set up");
        }
        opj::opj_stream_set_read_function(reader.0, Some(read));
        opj::opj_stream_set_skip_function(reader.0, Some(skip));
        opj::opj_stream_set_seek_function(reader.0, Some(seek));
        opj::opj_stream_set_user_data_length(reader.0, stream.len() as u64);
        opj::opj_stream_set_user_data(reader.0, ptr::from_mut(&mut source).cast(), None);
        let mut image = Image(ptr::null_mut());
        if opj::opj_read_header(reader.0, codec.0, &mut image.0) == 0 || image.0.is_null() {
            return Err("its header is damaged");
        }
        if opj::opj_decode(codec.0, reader.0, image.0) == 0 {
            return Err("its data are damaged");
        }
        let header = &*image.0;
        if header.numcomps != 1 || header.comps.is_null() {
            return Err("it has more than one component");
        }
        let component = &*header.comps;
        let size = (component.w as usize).checked_mul(component.h as usize);
        if size != Some(count) || component.data.is_null() || component.prec > 31 {
            return Err("its component is not of the size that its header says");
        }
        // The component owns w * h integers at `data`, until the image is destroyed at the end of this block.
        Ok(use_codes(std::slice::from_raw_parts(component.data, count), component.prec))
    }
}

struct Source<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What OpenJPEG expects at the end of the stream; it asks again for ever after any other number.
const END: usize = usize::MAX;

unsafe extern "C" fn read(buffer: *mut c_void, count: usize, source: *mut c_void) -> usize {
    // SAFETY: OpenJPEG passes the user data of `decode`, a `Source` that nothing else uses now.
    let source = unsafe { &mut *source.cast::<Source<'_>>() };
    let rest = source.bytes.get(source.at..).unwrap_or_default();
    let count = count.min(rest.len());
    if count == 0 {
        return END;
    }
    // SAFETY: `rest` has `count` bytes at least and so has OpenJPEG's buffer, another one.
    unsafe { ptr::copy_nonoverlapping(rest.as_ptr(), buffer.cast::<u8>(), count) };
    source.at += count;
    count
}

unsafe extern "C" fn skip(count: i64, source: *mut c_void) -> i64 {
    // SAFETY: as in `read`.
    let source = unsafe { &mut *source.cast::<Source<'_>>() };
    let left = source.bytes.len().saturating_sub(source.at);
    let count = usize::try_from(count).unwrap_or_default().min(left);
    if count == 0 {
        return -1;
    }
    source.at += count;
    count as i64
}

unsafe extern "C" fn seek(position: i64, source: *mut c_void) -> i32 {
    // SAFETY: as in `read`.
    let source = unsafe { &mut *source.cast::<Source<'_>>() };
    match usize::try_from(position) {
        Ok(position) if position <= source.bytes.len() => {
            source.at = position;
            1
        }
        _ => 0,
    }
}

struct Codec(*mut opj::opj_codec_t);
struct Stream(*mut opj::opj_stream_t);
struct Image(*mut opj::opj_image_t);

impl Drop for Codec {
    fn drop(&mut self) {
        // SAFETY: the handle is null, which is allowed, or owned by this value.
        unsafe { opj::opj_destroy_codec(self.0) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: as for the codec.
        unsafe { opj::opj_stream_destroy(self.0) }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: as for the codec.
        unsafe { opj::opj_image_destroy(self.0) }
    }
}
