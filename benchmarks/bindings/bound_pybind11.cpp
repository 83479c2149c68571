/* By pybind11. */
#include <pybind11/pybind11.h>

#include "call.h"

namespace py = pybind11;

static py::bytes digest(const py::bytes &data)
{
	uint8_t value[32];
	char *start;
	Py_ssize_t length;
	int r;

	if (PyBytes_AsStringAndSize(data.ptr(), &start, &length))
		throw py::error_already_set();
	{
		py::gil_scoped_release released;
		r = bench_digest(start, (size_t)length, value);
	}
	if (r < 0) {
		errno = -r;
		PyErr_SetFromErrno(PyExc_OSError);
		throw py::error_already_set();
	}
	return py::bytes(reinterpret_cast<const char *>(value), sizeof(value));
}

PYBIND11_MODULE(bound_pybind11, module)
{
	module.def("stage_name", &bench_stage_name);
	module.def("digest", &digest);
}
