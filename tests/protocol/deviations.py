"""Where MLServer departs from the protocol as we read it, or lacks an extension of it: what it does instead.

Each of these is run nevertheless, and must fail (a strict xfail): should MLServer learn it, the row has to go.
"""

NO_BINARY = (
    "numpy_goes_in|inputs_are_told|every_datatype|half_precision|text_arrives|a_picture_is|several_models|the_outputs_asked"
    "|the_request_id|a_version_can|requests_sent_together|an_unknown_model_is_an|an_unknown_version|a_wrong_input"
    "|an_unknown_output|an_unloaded_model_is_not|a_model_that_is_loaded_again|loading_a_loaded"
)
MLSERVER: dict[str, str] = {
    rf"test_({NO_BINARY})\w*\[mlserver-rest-binary": "it has no binary tensor data over REST: 422, without {error}",
    r"test_a_model_says_its_versions\w*\[": "its metadata names no versions",
    r"test_the_request_id_comes_back\[mlserver-(rest-json|grpc)-not ASCII": "it copies the id into a header: 500",
    r"test_an_unknown_model_is_not_ready\[mlserver-grpc": "it raises through grpcio: UNKNOWN",
    r"test_an_unloaded_model_says_\w*\[mlserver-grpc": "it raises through grpcio: UNKNOWN",
    r"test_the_index_(names|keeps)\w*\[mlserver-rest": "the index needs a body, which the client omits: 422",
    r"test_the_index_(names|keeps)\w*\[mlserver-grpc": "it writes a state as State.READY",
    r"test_health_is_also_what_the_specification_has": "its answers have no body",
    r"test_the_index_needs_no_body": "422 without a body",
    r"test_typed_contents_are_answered_in_the_form": "typed to typed, which tritonclient's as_numpy does not read",
    r"test_the_standard_health_service": "it has none: UNIMPLEMENTED",
    r"test_reflection": "it has none: UNIMPLEMENTED",
    r"test_the_asynchronous_clients\w*\[mlserver-rest": "JSON needs a Content-Type, which the client omits: 422",
}
"""By a regular expression for the test's id."""
