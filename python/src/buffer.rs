//! Bytes that Python reads without a copy.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Read-only bytes; `memoryview(...)` and `numpy.frombuffer(...)` do not copy them.
#[pyclass(frozen, module = "gribchunk._gribchunk")]
pub struct Bytes(pub bytes::Bytes);

#[pymethods]
impl Bytes {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no view"));
        }
        let data: &[u8] = &slf.get().0;
        let (pointer, length) = (data.as_ptr() as *mut c_void, data.len() as isize);
        // SAFETY: the view holds a reference to `slf`, which is frozen: the bytes stay where they are while it lives.
        let filled = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), pointer, length, 1, flags) };
        if filled == -1 {
            // SAFETY: a view that was refused owns nothing.
            unsafe { (*view).obj = ptr::null_mut() };
            return Err(PyErr::fetch(slf.py()));
        }
        Ok(())
    }
}
