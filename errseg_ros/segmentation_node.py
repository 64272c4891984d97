"""The ROS node: a managed one (design.ros2.org, "Managed nodes"), its parameters and its diagnostics."""

from __future__ import annotations

import gc
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]  # Humble has it nowhere else
from rclpy.lifecycle import LifecycleNode, LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from errseg_model import InputError, Segmenter
from errseg_model.memory import give_back_memory
from errseg_model.model_choice import ModelChoice
from errseg_ros import qos
from errseg_ros.diagnostics import ERROR, OK, PERIOD, Report
from errseg_ros.parameters import Parameters, Values
from errseg_ros.pipeline import Pipeline
from errseg_ros.readiness import Readiness
from errseg_ros.transitions import Transitions
from errseg_ros.vocabulary_server import History


class SegmentationNode(LifecycleNode):
    """Segments camera images under a vocabulary that can change (public interface, ROS 2).

    | transition | does |
    | --- | --- |
    | configure | loads the model, encodes the vocabulary, creates the publishers, tells the labels |
    | activate | subscribes to the images |
    | deactivate | unsubscribes; the image in work is still answered |
    | cleanup, shutdown | removes the publishers and frees the model's memory |

    Parameters can be read and set, and diagnostics are published, in every state.
    """

    def __init__(self) -> None:
        """Declare the parameters. Raises InputError when one is wrong."""
        # Not LifecycleNode's own: it puts its services behind those of the parameters, one at a time, so that
        # nobody could ask for the state while the model is loaded or names are encoded.
        Node.__init__(self, "errseg")
        self._transitions = Transitions()
        LifecycleNodeMixin.__init__(self, callback_group=self._transitions)
        service = self._service_change_state
        service.callback = partial(self._change_state, service.callback)
        try:
            self._prepare()
        except Exception:
            self.destroy_node()
            raise

    def _prepare(self) -> None:
        self._configuration = Parameters(self)
        self._values = self._configuration.values  # what is to be in force; the parameters follow
        self._source = self._values.vocabulary_file or self._parameter_source
        self._history = History.first(self._values.mask_encoding)
        self._pipeline: Pipeline | None = None
        self._changing = threading.Lock()  # a change of parameters never meets a change of the pipeline
        self._state, self._fault = "unconfigured", ""
        self._starting = False
        self._configuration.on_change(self._change)
        with qos.overrides_of("/diagnostics"):
            self._diagnostics = self.create_publisher(
                DiagnosticArray, "/diagnostics", qos.diagnostics(), qos_overriding_options=qos.overridable()
            )
        self.create_timer(
            PERIOD,
            self._report,
            callback_group=MutuallyExclusiveCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME),  # also while a simulation is paused
        )

    def set_parameters_atomically(self, parameter_list: list[Parameter[Any]]) -> SetParametersResult:
        """What all parameter services end in: as rclpy has it, with reasons that help."""
        reason = self._configuration.refusal(parameter_list)
        if reason is not None:
            return SetParametersResult(successful=False, reason=reason)
        return super().set_parameters_atomically(parameter_list)

    def autostart(self) -> None:
        """Configure and activate if the parameter `autostart` says so. Raises InputError with what is wrong."""
        if not self._values.autostart:
            self.get_logger().info("waiting to be configured")
            return
        self._starting = True
        for trigger in (self.trigger_configure, self.trigger_activate):
            with self._transitions.running() as begun:
                if not begun:
                    return
                try:
                    done = trigger()
                except RuntimeError:  # rcl's, on Humble: not possible in this state
                    done = TransitionCallbackReturn.ERROR
                if self._fault:
                    raise InputError(self._fault)
                if done != TransitionCallbackReturn.SUCCESS:
                    self.get_logger().warning("goes on as it is: its state was changed from outside while it started")
                    break
        self._starting = False

    def stop(self, timeout: float) -> bool:
        """Compute no further image and change nothing more: for the time before `destroy_node`.

        Returns whether all that was in work ended within `timeout` seconds.
        """
        end = time.monotonic() + timeout
        pipeline = self._pipeline
        stopped = pipeline is None or pipeline.stop(timeout)
        stopped &= self._transitions.close(max(0.0, end - time.monotonic()))
        return stopped & self._changing.acquire(timeout=max(0.0, end - time.monotonic()))

    def destroy_node(self) -> None:
        """Leave the middleware for good, as `Node.destroy_node` does."""
        super().destroy_node()
        # rclpy leaves it to the garbage collector, which a process that ends does not wait for; until then the
        # middleware keeps its segment in /dev/shm, tens of MB that nobody would remove.
        self._state_machine.destroy_when_not_in_use()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Fails, and changes nothing, when checkpoint, device or vocabulary are wrong."""
        return self._transition("configure", "inactive", self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe."""
        return self._transition("activate", "active", self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and wait for the image in work."""
        return self._transition("deactivate", "inactive", self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free what configure took."""
        return self._transition("cleanup", "unconfigured", self._release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """The same for good; the process ends with a signal, not here."""
        return self._transition("shutdown", "finalized", self._release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a transition that broke off: back to unconfigured, from where it can be tried again."""
        try:
            self._release()
        except Exception as error:
            self.get_logger().error(f"cleanup after an error failed: {type(error).__name__}: {error}")
            self._state = "finalized"
            return TransitionCallbackReturn.FAILURE
        self._state = "unconfigured"
        return TransitionCallbackReturn.SUCCESS

    def _change_state(self, change: Callable[[Any, Any], Any], request: Any, response: Any) -> Any:
        """On a thread of the executor: `change`, which is rclpy's. Humble's never answers what the state forbids."""
        try:
            return change(request, response)
        except RuntimeError as error:  # rcl's
            self.get_logger().error(f"no change of state: {' '.join(str(error).split())}")
            response.success = False
            return response

    def _transition(self, name: str, goal: str, act: Callable[[], None]) -> TransitionCallbackReturn:
        """rclpy swallows exceptions of transitions: this tells them."""
        result = self._attempt(name, goal, act)
        self._transitions.pass_checkpoint()
        return result

    def _attempt(self, name: str, goal: str, act: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            act()
            self._state, self._fault = goal, ""
            return TransitionCallbackReturn.SUCCESS
        except InputError as error:  # the user's: the state stays
            self._fail(f"{name} failed: {error}")
            result = TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.get_logger().debug(traceback.format_exc())
            self._fail(f"{name} failed: {type(error).__name__}: {error}")
            result = TransitionCallbackReturn.ERROR
        _give_memory_back()  # of a model that was loaded in vain
        return result

    def _fail(self, fault: str) -> None:
        self._fault = fault = " ".join(fault.split())  # what libraries say may have lines
        if not self._starting:  # else told by `autostart`
            self.get_logger().error(fault)

    def _configure(self) -> None:
        values = self._values
        self.get_logger().info(f"loading {values.model}")
        segmenter = _load(values)
        readiness = Readiness(segmenter, values, lambda text: self.get_logger().warning(text))
        readiness.warm_up()  # may take minutes, in which parameters can be set
        with self._changing:
            values = self._values  # a change may have come in the meantime
            before = {*self.publishers}
            try:
                self._pipeline = Pipeline(self, segmenter, readiness, values, self._history, self._source)
            except Exception:
                for publisher in {*self.publishers} - before:
                    self.destroy_publisher(publisher)
                raise
        height, width = values.input_size
        self.get_logger().info(
            f"model {values.model} ({values.checkpoint or 'its own weights'}) on {segmenter.device}, "
            f"input {height} x {width} ({values.resize}), {len(values.vocabulary)} classes, "
            f"max_classes {values.max_classes}, min_share {values.min_share}"
        )

    def _activate(self) -> None:
        assert self._pipeline is not None  # rcl's state machine sees to it
        topics = self._pipeline.activate()
        self.get_logger().info(f"ready: waiting for {', '.join(topics)}")

    def _deactivate(self) -> None:
        assert self._pipeline is not None
        self._pipeline.deactivate()

    def _release(self) -> None:
        with self._changing:
            pipeline, self._pipeline = self._pipeline, None
            if pipeline is None:
                return
            self._history = pipeline.history
        pipeline.deactivate()
        pipeline.close()
        del pipeline
        _give_memory_back()

    @property
    def _parameter_source(self) -> str:
        return f"parameter vocabulary of {self.get_fully_qualified_name()}"

    def _change(self, values: Values) -> None:
        """On a thread of the executor: put changed parameters in force. Raises InputError."""
        with self._changing:
            source = self._source if values.vocabulary == self._values.vocabulary else self._parameter_source
            if self._pipeline is None:
                self._history.ids.extend(values.vocabulary)  # what configure would refuse is refused now
            else:
                self._pipeline.change(values, source)
            self._values, self._source = values, source

    def _report(self) -> None:
        """On a thread of the executor: publish the diagnostics."""
        pipeline, values, name = self._pipeline, self._values, self.get_fully_qualified_name().lstrip("/")
        device = values.device if pipeline is None else str(pipeline.device)
        monitors = pipeline.monitors if pipeline is not None and self._state == "active" else {}
        message = DiagnosticArray(header=Header(stamp=self.get_clock().now().to_msg()))
        message.status = [self._node_report(pipeline, values).status(name, device)]
        for camera in values.cameras:
            report = monitors[camera].report(values.thresholds) if camera in monitors else Report(OK, self._state, {})
            message.status.append(report.status(f"{name}: {camera}", device))
        self._diagnostics.publish(message)

    def _node_report(self, pipeline: Pipeline | None, values: Values) -> Report:
        labels = (self._history if pipeline is None else pipeline.history).labels
        return Report(
            ERROR if self._fault else OK,
            self._fault or self._state,
            {
                "state": self._state,
                "model": values.model,
                "vocabulary version": str(labels.version if labels else 0),
                "classes": str(len(values.vocabulary)),
                "max_classes": str(values.max_classes),
                "min_share": str(values.min_share),
                "confidence_threshold": str(values.confidence_threshold),
            },
        )


def _load(values: Values) -> Segmenter:
    checkpoint = Path(values.checkpoint) if values.checkpoint else None
    try:
        return replace(ModelChoice.of(values), checkpoint=checkpoint).load()
    except torch.cuda.OutOfMemoryError as error:
        raise InputError(f"model {values.model} does not fit into the memory of {values.device}: {error}") from None


def _give_memory_back() -> None:
    """To the system: what PyTorch and the C library keep for themselves after the objects are gone."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    give_back_memory()
