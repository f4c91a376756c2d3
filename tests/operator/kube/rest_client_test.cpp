#include "operator/kube/rest_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::controller::kube {
namespace {

using common::Code;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Answers requests in order and keeps them.
class ScriptedTransport : public Transport {
 public:
  explicit ScriptedTransport(std::vector<HttpResponse> answers) : answers_(std::move(answers)) {}

  HttpResponse send(const HttpRequest& request) override {
    requests.push_back(request);
    if (requests.size() > answers_.size()) throw ApiError(Code::kInternal, 0, "", "one request too many");
    return answers_[requests.size() - 1];
  }
  HttpResponse stream(const HttpRequest& request, const StreamLimits&,
                      const std::function<void(std::string_view)>&) override {
    return send(request);
  }

  std::vector<HttpRequest> requests;

 private:
  std::vector<HttpResponse> answers_;
};

struct Fixture {
  explicit Fixture(std::vector<HttpResponse> answers, RequestObserver* observer = nullptr) {
    auto made = std::make_unique<ScriptedTransport>(std::move(answers));
    transport = made.get();
    ClientOptions options;
    options.first_retry = std::chrono::milliseconds(1);
    options.observer = observer;
    client = std::make_unique<RestClient>(std::move(made), "host", options);
  }
  ScriptedTransport* transport;
  std::unique_ptr<Client> client;
};

HttpResponse ok(const std::string& body) {
  return {200, body, ""};
}
HttpResponse refused(int code, const std::string& reason, const std::string& details = "{}") {
  return {code, R"({"kind":"Status","message":"m","reason":")" + reason + R"(","details":)" + details + "}", ""};
}

TEST(RestClientGet, TellsAMissingObjectFromAMissingKind) {
  Fixture missing_object({refused(404, "NotFound", R"({"name":"b","kind":"pods"})")});
  EXPECT_EQ(missing_object.client->get(kPod, {"a", "b"}), std::nullopt);
  Fixture missing_kind({{404, "404 page not found\n", ""}});
  EXPECT_THROW(missing_kind.client->get(kModelDeployment, {"a", "b"}), ApiError);
}

TEST(RestClientList, FollowsContinueTokensToTheEnd) {
  Fixture fixture(
      {ok(R"({"metadata":{"resourceVersion":"9","continue":"to/ken"},"items":[{"metadata":{"name":"a"}}]})"),
       ok(R"({"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"b"}}]})")});
  const ListResult result = fixture.client->list(kPod, {.ns = "ns", .label_selector = "x=y"});
  EXPECT_EQ(result.resource_version, "9");
  ASSERT_EQ(result.items.size(), 2U);
  EXPECT_EQ(result.items[1].name(), "b");
  EXPECT_EQ(result.items[1].kind(), "Pod");
  EXPECT_EQ(fixture.transport->requests[0].target, "/api/v1/namespaces/ns/pods?labelSelector=x%3Dy&limit=500");
  EXPECT_EQ(fixture.transport->requests[1].target,
            "/api/v1/namespaces/ns/pods?labelSelector=x%3Dy&limit=500&continue=to%2Fken");
}

TEST(RestClientList, PacksEachPageOnRequest) {
  Fixture fixture({ok(R"({"metadata":{"resourceVersion":"9","continue":"t"},"items":[{"metadata":{"name":"a"}}]})"),
                   ok(R"({"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"b"},"spec":1}]})")});
  ListOptions options{.pack = true};
  options.trim = [](Object& object) { object.json().erase("spec"); };
  const ListResult result = fixture.client->list(kPod, options);
  EXPECT_TRUE(result.items.empty());
  ASSERT_EQ(result.packed.size(), 2U);
  EXPECT_EQ(unpack(result.packed[1]),
            Object(Json{{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", {{"name", "b"}}}}));
}

TEST(RestClientList, StartsOverInOnePageWhenTheContinueTokenExpired) {
  Fixture fixture({ok(R"({"metadata":{"resourceVersion":"9","continue":"t"},"items":[{"metadata":{"name":"a"}}]})"),
                   refused(410, "Expired"),
                   ok(R"({"metadata":{"resourceVersion":"20"},"items":[{"metadata":{"name":"b"}}]})")});
  const ListResult result = fixture.client->list(kPod, {});
  EXPECT_EQ(result.resource_version, "20");
  ASSERT_EQ(result.items.size(), 1U);
  EXPECT_EQ(result.items[0].name(), "b");
  EXPECT_EQ(fixture.transport->requests[2].target, "/api/v1/pods");
}

TEST(RestClientList, ToleratesItemsItCannotRead) {
  Fixture fixture(
      {ok(R"({"metadata":{"resourceVersion":"9"},"items":[null,3,{"metadata":[]},{"metadata":{"name":"b"}}]})")});
  EXPECT_EQ(fixture.client->list(kPod, {}).items.back().name(), "b");
}

TEST(RestClientApply, SendsAServerSideApplyOfOneManager) {
  Fixture fixture({ok("{}"), ok("{}")});
  fixture.client->apply(kModelDeployment, Object(kModelDeployment, {"a", "b"}), {.subresource = "status"});
  fixture.client->apply(kPod, Object(kPod, {"a", "b"}), {.force = false, .field_manager = "other"});
  const auto& requests = fixture.transport->requests;
  EXPECT_EQ(requests[0].method, "PATCH");
  EXPECT_EQ(requests[0].content_type, "application/apply-patch+yaml");
  EXPECT_EQ(
      requests[0].target,
      "/apis/millrace.dev/v1alpha1/namespaces/a/modeldeployments/b/status?fieldManager=millrace-operator&force=true");
  EXPECT_THAT(requests[1].target, HasSubstr("?fieldManager=other&force=false"));
}

TEST(RestClientRemove, SendsItsPreconditions) {
  Fixture fixture({ok("{}"), refused(404, "NotFound"), refused(409, "Conflict")});
  EXPECT_TRUE(fixture.client->remove(kPod, {"a", "b"}, {.uid = "u", .resource_version = "5", .grace_period = 0}));
  EXPECT_FALSE(fixture.client->remove(kPod, {"a", "b"}));
  EXPECT_THROW(fixture.client->remove(kPod, {"a", "b"}), ApiError);
  EXPECT_EQ(Json::parse(fixture.transport->requests[0].body),
            Json({{"apiVersion", "v1"},
                  {"kind", "DeleteOptions"},
                  {"propagationPolicy", "Background"},
                  {"gracePeriodSeconds", 0},
                  {"preconditions", {{"uid", "u"}, {"resourceVersion", "5"}}}}));
}

TEST(RestClientEvict, SaysWhatTheBudgetSaid) {
  Fixture fixture({ok("{}"), refused(429, "TooManyRequests"), refused(404, "NotFound")});
  EXPECT_EQ(fixture.client->evict({"a", "b"}, std::nullopt), Eviction::kEvicted);
  EXPECT_EQ(fixture.client->evict({"a", "b"}, 30), Eviction::kBlocked);
  EXPECT_EQ(fixture.client->evict({"a", "b"}, std::nullopt), Eviction::kNotFound);
}

TEST(RestClientRepeat, GivesUpAfterItsAttempts) {
  Fixture fixture({refused(503, "x"), refused(503, "x"), refused(500, "x"), refused(503, "x"), ok("{}")});
  EXPECT_THROW(fixture.client->get(kPod, {"a", "b"}), ApiError);
  EXPECT_EQ(fixture.transport->requests.size(), 4U);
}

TEST(RestClientRepeat, DoesNotArgueWithARefusal) {
  for (const int status : {400, 401, 403, 409, 410, 422}) {
    Fixture fixture({refused(status, "x"), ok("{}")});
    EXPECT_THROW(fixture.client->get(kPod, {"a", "b"}), ApiError) << status;
    EXPECT_EQ(fixture.transport->requests.size(), 1U) << status;
  }
}

TEST(RestClientRepeat, LeavesALongPauseToTheCaller) {
  HttpResponse busy = refused(429, "TooManyRequests");
  busy.retry_after = "60";
  Fixture fixture({busy, ok("{}")});
  try {
    fixture.client->get(kPod, {"a", "b"});
    FAIL();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.retry_after(), std::chrono::seconds(60));
  }
}

TEST(RestClientPatch, IsNotRepeatedWhenItCarriesAVersion) {
  Fixture fixture({refused(503, "x"), ok("{}")});
  EXPECT_THROW(fixture.client->patch(kLease, {"a", "b"}, {{"metadata", {{"resourceVersion", "5"}}}}), ApiError);
  EXPECT_EQ(fixture.transport->requests.size(), 1U);
}

class Recorder : public RequestObserver {
 public:
  void request_done(std::string_view method, std::string_view host, int status,
                    std::chrono::duration<double>) override {
    seen.push_back(std::string(method) + " " + std::string(host) + " " + std::to_string(status));
  }
  std::vector<std::string> seen;
};

TEST(RestClientObserver, HearsOfEveryRequest) {
  Recorder recorder;
  Fixture fixture({refused(503, "x"), ok("{}"), refused(410, "Expired")}, &recorder);
  fixture.client->get(kPod, {"a", "b"});
  fixture.client->watch(kPod, {}, [](WatchEvent&&) {}, {});
  EXPECT_THAT(recorder.seen, ElementsAre("GET host 503", "GET host 200", "GET host 410"));
}

}  // namespace
}  // namespace millrace::controller::kube
